/** SQL that several rules propose. */

import type { Constraint } from 'libpg-query'
import type { MigrationStatement } from '../migration.ts'
import { clauseAt, namesOf, nodeOf, quoted, quotedList } from '../sql-tree.ts'

/** Cuts a generated name to what PostgreSQL keeps of it. */
export function shortName(...parts: readonly string[]): string {
  return Buffer.from(parts.join('_'))
    .subarray(0, 63)
    .toString('utf8')
    .replace(/\uFFFD+$/, '')
}

/** CHECK that is promised for new rows, proved for old ones, then exchanged for NOT NULL, which trusts it. */
export function notNullFiles(table: string, column: string): string[] {
  const name = quoted(shortName(table, column, 'not_null'))
  const [t, c] = [quoted(table), quoted(column)]
  return [
    `alter table ${t} add constraint ${name} check (${c} is not null) not valid;`,
    `alter table ${t} validate constraint ${name};`,
    `alter table ${t} alter column ${c} set not null, drop constraint ${name};`,
  ]
}

/** Fills or removes rows a few thousand at a time, each batch a transaction of its own. */
export function batches(change: (chosen: string) => string, table: string, condition: string): string {
  const chosen = `ctid = any (array(select ctid from ${quoted(table)} where ${condition} limit 5000))`
  return [
    '-- rowhouse: no-transaction',
    'do $$',
    'begin',
    '  loop',
    `    ${change(chosen)};`,
    '    exit when not found;',
    '    commit;',
    '  end loop;',
    'end $$;',
  ].join('\n')
}

/** Adds a constraint unproved, then proves it in a transaction of its own, under a lock that lets everybody work. */
export function provedLater(table: string, name: string, definition: string): string[] {
  return [
    `alter table ${quoted(table)} add constraint ${quoted(name)} ${definition} not valid;`,
    `alter table ${quoted(table)} validate constraint ${quoted(name)};`,
  ]
}

/** Definition of a constraint without its name, as it was written. */
export function definitionOf(statement: MigrationStatement, constraint: Constraint): string {
  const written = clauseAt(statement, constraint.location ?? -1)
  return written.replace(/^constraint\s+(?:"(?:[^"]|"")*"|\S+)\s+/i, '')
}

const ACTIONS: Readonly<Record<string, string>> = { r: 'restrict', c: 'cascade', n: 'set null', d: 'set default' }

/** Writes a foreign key with tenant_id first on both sides. */
export function foreignKeyByTenant(constraint: Constraint, ownColumns: readonly string[]): string {
  const own = ownColumns.filter((name) => name !== 'tenant_id')
  const theirs = namesOf(constraint.pk_attrs).filter((name) => name !== 'tenant_id')
  const other = theirs.length === 0 ? '' : ` (${quotedList(['tenant_id', ...theirs])})`
  const text = `foreign key (${quotedList(['tenant_id', ...own])}) references ${quoted(constraint.pktable?.relname ?? '')}${other}`
  const removed = ACTIONS[constraint.fk_del_action ?? 'a']
  const changed = ACTIONS[constraint.fk_upd_action ?? 'a']
  // SET NULL and SET DEFAULT must spare tenant_id.
  const spared = removed?.startsWith('set') ? ` (${quotedList(own)})` : ''
  return `${text}${removed === undefined ? '' : ` on delete ${removed}${spared}`}${changed === undefined ? '' : ` on update ${changed}`}`
}

/** Writes CREATE INDEX so that it builds beside the writers, and again after it failed; undefined where its text is unusual. */
export function concurrently(statement: MigrationStatement): string | undefined {
  const index = nodeOf(statement.tree, 'IndexStmt')
  const head =
    /^create\s+(unique\s+)?index\s+(?:concurrently\s+)?(?:if\s+not\s+exists\s+)?(?:(?:"(?:[^"]|"")*"|(?!on\s)[^\s("]+)\s+)?on\s/i
  const match = head.exec(statement.text)
  if (index === undefined || match === null) return undefined
  const columns = (index.indexParams ?? []).map((param) => nodeOf(param, 'IndexElem')?.name ?? 'expr')
  const name = index.idxname ?? shortName(index.relation?.relname ?? '', ...columns, 'idx')
  return `create ${match[1] === undefined ? '' : 'unique '}index concurrently if not exists ${quoted(name)} on ${statement.text.slice(match[0].length)};`
}
