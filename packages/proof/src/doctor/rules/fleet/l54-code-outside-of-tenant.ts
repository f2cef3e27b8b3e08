import type { Rule } from '../../rule.ts'

export const codeOutsideOfTenant: Rule = {
  id: 'L54',
  name: 'code-outside-of-tenant',
  severity: 'error',
  title: 'Code that reaches the database outside of a tenant',
  why: "A raw connection, the simple protocol, a callback that runs in the context of another request and SQL put together from text all lead around what makes a statement a tenant's own. The database refuses most of it; an error in production is a late place to learn of it.",
  remedy:
    'Add `eslint-plugin-rowhouse` to the linter: its rules find these in the source and say what to write instead.',
  applies: 'code',
  sql: '',
  fixtures: { fires: [], quiet: [] },
}
