import type { HomeObject, HomeSnapshot } from './fingerprint.ts'
import { type LintFinding, lintMigrations } from './lint.ts'
import type { Migration } from './migration.ts'
import { parseMigration } from './parse-migration.ts'

/** One object that is not as the migrations make it. */
export interface Difference {
  readonly change: 'missing' | 'extra' | 'changed'
  readonly object: Pick<HomeObject, 'kind' | 'name' | 'table'>
  /** Definitions, with the home's own schema left out. */
  readonly wanted: string | undefined
  readonly found: string | undefined
}

/** What would make a home as it should be. Nothing runs it by itself. */
export interface RepairPlan {
  /** SQL in its order, for the search path of the home, without semicolons. Those with CONCURRENTLY run alone, outside of a transaction. */
  readonly statements: readonly string[]
  /** What SQL alone must not decide: data would be lost, or has to be found first. */
  readonly byHand: readonly string[]
  /** What the lint says of the statements. */
  readonly findings: readonly LintFinding[]
}

/** Compares two homes object by object: tables first, then what belongs to them. */
export function compareSnapshots(wanted: HomeSnapshot, found: HomeSnapshot): Difference[] {
  const differences: Difference[] = []
  for (const [key, object] of wanted.objects) {
    const other = found.objects.get(key)
    if (other?.definition === object.definition) continue
    const change = other === undefined ? 'missing' : 'changed'
    differences.push({ change, object, wanted: object.definition, found: other?.definition })
  }
  for (const [key, object] of found.objects) {
    if (!wanted.objects.has(key))
      differences.push({ change: 'extra', object, wanted: undefined, found: object.definition })
  }
  return differences
}

/** A step of the repair. Lower ranks go first: what stands in the way, tables, columns, what refers to them, the walls. */
interface Step {
  readonly rank: number
  readonly sql?: string
  readonly byHand?: string
}

/**
 * Writes the SQL that mends the differences, and lints it as a migration after the others.
 *
 * @param wanted the home as it should be
 */
export async function planRepair(
  differences: readonly Difference[],
  wanted: HomeSnapshot,
  migrations: readonly Migration[],
): Promise<RepairPlan> {
  const newTables = new Set(
    differences.flatMap(({ change, object }) => (change === 'missing' && object.kind === 'table' ? [object.name] : [])),
  )
  const strange = new Set(
    differences.flatMap(({ change, object }) => (change === 'extra' && object.kind === 'table' ? [object.name] : [])),
  )
  const told = differences.filter(({ object }) => object.kind === 'table' || !strange.has(object.table))
  const steps = told.flatMap((difference) => stepsFor(difference, newTables, wanted))
  const sorted = steps.sort((a, b) => a.rank - b.rank)
  const statements = [...new Set(sorted.flatMap(({ sql }) => sql ?? []))]
  const byHand = [...new Set(sorted.flatMap((step) => step.byHand ?? []))]
  return { statements, byHand, findings: await lintRepair(statements, migrations) }
}

function stepsFor(difference: Difference, newTables: ReadonlySet<string>, wanted: HomeSnapshot): Step[] {
  const { change, object, found } = difference
  const { kind, name, table } = object
  const definition = difference.wanted ?? ''
  const part = quoted(name.slice(table.length + 1))
  switch (kind) {
    case 'table':
      if (change === 'missing') return [createTable(table, wanted), wall(table, wanted)]
      if (change === 'extra')
        return [{ rank: 9, byHand: `table ${quoted(name)} is in no migration: keep its rows, then drop it` }]
      return [wall(table, wanted)]
    case 'column':
      return newTables.has(table) ? [] : columnSteps(difference, part, wanted)
    case 'order':
      return change === 'changed' && sameSet(definition, found ?? '')
        ? [{ rank: 9, byHand: `columns of ${quoted(table)} are in another order: only a new table changes that` }]
        : []
    case 'constraint': {
      const drop = { rank: 1, sql: `alter table ${quoted(table)} drop constraint ${part}` }
      if (change === 'extra') return [drop]
      const isLate =
        /^(FOREIGN KEY|CHECK)/.test(definition) && !newTables.has(table) && !definition.endsWith('NOT VALID')
      const add = {
        rank: 5,
        sql: `alter table ${quoted(table)} add constraint ${part} ${definition}${isLate ? ' not valid' : ''}`,
      }
      const validate = { rank: 6, sql: `alter table ${quoted(table)} validate constraint ${part}` }
      return [...(change === 'changed' ? [drop] : []), add, ...(isLate ? [validate] : [])]
    }
    case 'index': {
      const fresh = newTables.has(table)
      const drop = { rank: 1, sql: `drop index concurrently ${quoted(name)}` }
      if (change === 'extra') return [drop]
      const add = { rank: 7, sql: fresh ? definition : definition.replace(/ INDEX /, ' INDEX CONCURRENTLY ') }
      return [...(change === 'changed' ? [drop] : []), add]
    }
    case 'trigger': {
      const drop = { rank: 1, sql: `drop trigger ${part} on ${quoted(table)}` }
      if (change === 'extra') return [drop]
      return [...(change === 'changed' ? [drop] : []), { rank: 8, sql: definition.replace(/ \(\w\)$/, '') }]
    }
    case 'policy':
      return change === 'extra' && !wanted.objects.has(`policy ${name}`)
        ? [{ rank: 8, sql: `drop policy ${part} on ${quoted(table)}` }, wall(table, wanted)]
        : [wall(table, wanted)]
    case 'grants':
      return wanted.objects.has(`table ${table}`)
        ? [wall(table, wanted)]
        : [{ rank: 9, byHand: `grants on ${quoted(name)} differ: ${found ?? 'none'}` }]
    case 'view':
      if (change === 'extra') return [{ rank: 1, sql: `drop view ${quoted(name)}` }]
      return definition.startsWith('materialized')
        ? [{ rank: 9, byHand: `materialized view ${quoted(name)} differs: make it again` }]
        : [{ rank: 8, sql: createView(name, definition) }]
    case 'function':
      if (change === 'extra') return [{ rank: 9, sql: `drop function ${name}` }]
      return [
        { rank: 2, sql: definition.replace(/\$function\$\n[\s\S]*$/, (end) => `${end.slice(0, '$function$'.length)}`) },
      ]
    default:
      return [
        { rank: 9, byHand: `${kind} ${quoted(name)} is ${change}: wanted ${definition === '' ? 'none' : definition}` },
      ]
  }
}

function columnSteps(
  { change, object, wanted = '', found = '' }: Difference,
  column: string,
  snapshot: HomeSnapshot,
): Step[] {
  const table = quoted(object.table)
  if (change === 'missing') {
    const step = { rank: 4, sql: `alter table ${table} add column ${column} ${wanted}` }
    return / not null$/.test(wanted) && !/ (default|generated) /.test(wanted)
      ? [
          {
            rank: 9,
            byHand: `column ${table}.${column} (${wanted}) is missing: add it nullable, fill it, then set it not null`,
          },
        ]
      : [step, wall(object.table, snapshot)]
  }
  if (change === 'extra')
    return [{ rank: 9, byHand: `column ${table}.${column} is in no migration: keep its values, then drop it` }]
  const [want, have] = [partsOf(wanted), partsOf(found)]
  const alter = `alter table ${table} alter column ${column}`
  if (want.type !== have.type)
    return [
      {
        rank: 9,
        byHand: `column ${table}.${column} is ${found}: wanted ${wanted}; changing a type rewrites the table`,
      },
    ]
  const steps: Step[] = []
  if (want.fallback !== have.fallback)
    steps.push({
      rank: 4,
      sql: want.fallback === undefined ? `${alter} drop default` : `${alter} set default ${want.fallback}`,
    })
  if (want.notNull !== have.notNull)
    steps.push({ rank: 4, sql: want.notNull ? `${alter} set not null` : `${alter} drop not null` })
  return steps
}

/** `numeric(12,2) default 0 not null` in its parts; identity and generation count as type. */
function partsOf(definition: string): { type: string; fallback: string | undefined; notNull: boolean } {
  const notNull = definition.endsWith(' not null')
  const rest = notNull ? definition.slice(0, -' not null'.length) : definition
  const at = rest.indexOf(' default ')
  return at === -1
    ? { type: rest, fallback: undefined, notNull }
    : { type: rest.slice(0, at), fallback: rest.slice(at + ' default '.length), notNull }
}

function createTable(table: string, wanted: HomeSnapshot): Step {
  const order = wanted.objects.get(`order ${table}`)?.definition ?? ''
  const columns = order.split(', ').map((column) => {
    const name = column.startsWith('"') ? column.slice(1, -1).replaceAll('""', '"') : column
    return `${column} ${wanted.objects.get(`column ${table}.${name}`)?.definition ?? ''}`
  })
  return { rank: 3, sql: `create table ${quoted(table)} (${columns.join(', ')})` }
}

/** Puts owner, policies and grants right at once, as the only text that knows what is right. */
function wall(table: string, wanted: HomeSnapshot): Step {
  const scope = wanted.objects.has(`policy ${table}.rowhouse_unit`) ? ', unit_scope => true' : ''
  return { rank: 8.5, sql: `select rowhouse.protect('${quoted(table).replaceAll("'", "''")}'${scope})` }
}

function createView(name: string, definition: string): string {
  const [, options, query] = /^(?:(\S+=\S+(?:, \S+=\S+)*) )?([\s\S]*?);?$/.exec(definition) ?? []
  return `create or replace view ${quoted(name)} ${options === undefined ? '' : `with (${options}) `}as ${query?.trim()}`
}

function sameSet(a: string, b: string): boolean {
  return a.split(', ').sort().join() === b.split(', ').sort().join()
}

function quoted(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`
}

async function lintRepair(
  statements: readonly string[],
  migrations: readonly Migration[],
): Promise<readonly LintFinding[]> {
  const repairs = await toRepairMigrations(statements)
  const ids = new Set(repairs.map(({ id }) => id))
  return lintMigrations([...migrations, ...repairs]).filter(({ migration }) => ids.has(migration))
}

/** Returns the statements as migrations: one for all that fit a transaction, then one for each that does not. */
export function toRepairMigrations(statements: readonly string[]): Promise<Migration[]> {
  const together = statements.filter((sql) => !isAlone(sql))
  const texts = [...(together.length > 0 ? [together.join('\n;\n')] : []), ...statements.filter(isAlone)]
  return Promise.all(
    texts.map((text, index) => {
      const id = `repair-${index + 1}`
      return parseMigration({ id, number: `${index + 1}`, name: 'repair', file: `${id}.sql`, text })
    }),
  )
}

function isAlone(sql: string): boolean {
  return / concurrently /i.test(sql)
}
