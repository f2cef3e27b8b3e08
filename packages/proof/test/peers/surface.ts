import type { Attack, Cell } from '../../src/verify/attack.ts'

/** What an attack is aimed at: a library that has no such thing, or does not set out to guard it, cannot leak there. */
export type Surface =
  | 'rows'
  | 'context'
  | 'keys'
  | 'signature'
  | 'session'
  | 'login'
  | 'registry'
  | 'credentials'
  | 'request'
  | 'log'

export const SURFACES: Readonly<Record<Surface, string>> = {
  rows: "rows of tenants' tables",
  context: 'the tenant a connection or a statement runs for',
  keys: 'unique keys, references and error messages',
  signature: 'a signature of the context',
  session: 'what a statement leaves on the connection besides the tenant',
  login: "rights of the application's login besides the rows",
  registry: 'the list of tenants',
  credentials: 'API keys of tenants',
  request: 'the tenant of a request',
  log: 'a log of work across tenants',
}

/** Shapes of a forged signature. A context without one can only be given another name, which is the first of the forgeries. */
const SIGNATURE = new Set([
  'random signature',
  'no signature',
  'signature of zeros',
  'capitals',
  'another epoch',
  'another key',
  'later expiry',
  'read keys',
  'read stamps',
])

const BY_VERB: Readonly<Record<string, Surface>> = {
  'list tenants': 'registry',
  'read api keys': 'credentials',
  'read crossings': 'log',
  'alter role set': 'context',
}

/** Says what an attack is aimed at in one of its cells. */
export function surfaceOf(attack: Attack, cell: Cell): Surface {
  if (SIGNATURE.has(cell.verb)) return 'signature'
  const named = BY_VERB[cell.verb]
  if (named !== undefined) return named
  if (cell.target === 'request') return /API key/.test(attack.title) ? 'credentials' : 'request'
  if (attack.id.startsWith('ORA-') && attack.id !== 'ORA-11') return 'keys'
  if (cell.target === 'database') return attack.weakness === 'careless' ? 'session' : 'login'
  return attack.id.startsWith('CTX-') || attack.id.startsWith('APP-') ? 'context' : 'rows'
}
