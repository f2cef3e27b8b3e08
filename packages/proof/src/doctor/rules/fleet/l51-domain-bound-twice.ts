import type { Rule } from '../../rule.ts'

export const domainBoundTwice: Rule = {
  id: 'L51',
  name: 'domain-bound-twice',
  severity: 'error',
  title: 'Domain that two tenants have proved to own',
  why: 'A request finds its tenant by its host. With two answers, one of the tenants receives the sessions, uploads and sign-ins of the other.',
  remedy: 'Take the domain from whoever no longer has it in DNS, and let the other prove it again.',
  applies: 'later',
  sql: '',
  fixtures: { fires: [], quiet: [] },
}
