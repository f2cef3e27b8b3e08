/** What somebody sent cannot be used; says for each field why. */
export class InputError extends Error {
  readonly code = 'ERR_INPUT_INVALID'
  readonly faults: readonly InputFault[]

  constructor(faults: readonly InputFault[]) {
    super(`Cannot use this input: ${faults.map(({ field, message }) => `"${field}" ${message}`).join('; ')}`)
    this.name = 'InputError'
    this.faults = faults
  }
}

export interface InputFault {
  readonly field: string
  readonly message: string
}
