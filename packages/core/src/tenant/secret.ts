/**
 * A value that must not reach a log: it prints as `[secret]` in strings, JSON and inspection.
 *
 * Redaction by type holds wherever the value travels; redaction by field name fails at the first new name.
 *
 * @typeParam T  what is hidden
 * @example
 * ```ts
 * import { Secret } from 'rowhouse'
 * const password = new Secret('correct horse')
 * console.assert(JSON.stringify({ password }) === '{"password":"[secret]"}')
 * console.assert(password.reveal() === 'correct horse')
 * ```
 */
export class Secret<T> {
  readonly #value: T

  constructor(value: T) {
    this.#value = value
  }

  /** Returns the hidden value. Call it where the value is used, not where it is passed on. */
  reveal(): T {
    return this.#value
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[secret]'
  }
}
