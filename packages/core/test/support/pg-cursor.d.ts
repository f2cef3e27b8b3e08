/** `pg-cursor` ships no types; the tests use its constructor only. */
declare module 'pg-cursor' {
  import type { Submittable } from 'pg'

  export default class Cursor implements Submittable {
    constructor(text: string, values?: unknown[])
    submit: Submittable['submit']
  }
}
