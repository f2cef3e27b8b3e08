export type EmbeddedErrorCode =
  | 'ERR_PLATFORM_UNSUPPORTED'
  | 'ERR_EMBEDDED_START_FAILED'
  | 'ERR_EMBEDDED_DATA_IN_USE'
  | 'ERR_EMBEDDED_DATA_INCOMPATIBLE'

/** Why an embedded server could not be started; the message says what to do. */
export class EmbeddedError extends Error {
  readonly code: EmbeddedErrorCode

  constructor(code: EmbeddedErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'EmbeddedError'
    this.code = code
  }
}
