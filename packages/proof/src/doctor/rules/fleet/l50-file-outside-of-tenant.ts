import type { Rule } from '../../rule.ts'

export const fileOutsideOfTenant: Rule = {
  id: 'L50',
  name: 'file-outside-of-tenant',
  severity: 'error',
  title: 'File that is not kept under its tenant',
  why: 'Files are found by their key, and no policy guards an object store. A key that does not begin with the tenant can be guessed or mixed up, and the file of one tenant ends up with another, in its export or in its erasure.',
  remedy: 'Move the object under the tenant and correct the row that refers to it.',
  applies: 'later',
  sql: '',
  fixtures: { fires: [], quiet: [] },
}
