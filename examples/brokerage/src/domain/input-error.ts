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

/** Returns a text of 1 to `most` characters, trimmed; otherwise says so in `faults` and returns ''. */
export function readText(value: unknown, field: string, most: number, faults: InputFault[]): string {
  const text = typeof value === 'string' ? value.trim() : ''
  if (text.length >= 1 && text.length <= most) return text
  faults.push({ field, message: `must be text of 1 to ${most} characters` })
  return ''
}
