import type { Migration } from './migration.ts'

/** Stands for the home's schema in remembered statements. */
const HOME = '\u0000home\u0000'
/** Groups of migrations remembered; the oldest goes first. A deployment has a few. */
const MOST = 100

/**
 * What `rowhouse.protect` did after a migration, so that it need not find out again in every home.
 *
 * The first home of each kind is examined table by table: some 10 ms each. Every further one starts from the same state
 * and runs the same statements, so the same statements protect it. Remembered only where no statement of the migration
 * decides by itself what it does.
 */
export class ProtectionMemo {
  readonly #known = new Map<string, readonly string[]>()

  /** Returns the statements for a home, or undefined where they have to be found out. */
  find(key: string, home: string): readonly string[] | undefined {
    return this.#known.get(key)?.map((statement) => (home === '' ? statement : statement.replaceAll(HOME, home)))
  }

  keep(key: string, home: string, statements: readonly string[]): void {
    const [oldest] = this.#known.keys()
    if (this.#known.size >= MOST && oldest !== undefined) this.#known.delete(oldest)
    const merged = mergeAlterations(statements)
    this.#known.set(key, home === '' ? merged : merged.map((each) => each.replaceAll(home, HOME)))
  }
}

/** One ALTER TABLE for those that follow each other on one table: each would lock it and write it down again. */
function mergeAlterations(statements: readonly string[]): string[] {
  const merged: string[] = []
  for (const statement of statements) {
    const [, table, action] = /^alter table (\S+) ([^;]+);$/.exec(statement) ?? []
    const previous = merged.at(-1)
    if (table === undefined || previous?.startsWith(`alter table ${table} `) !== true) merged.push(statement)
    else merged[merged.length - 1] = `${previous.slice(0, -1)}, ${action};`
  }
  return merged
}

/**
 * Returns under which key the protection of these migrations is remembered; undefined where it is not.
 *
 * @param installation version of PostgreSQL and of the schema `rowhouse`
 */
export function memoKey(migrations: readonly Migration[], home: string, installation: string): string | undefined {
  if (!migrations.every(isSameEverywhere)) return undefined
  return [
    installation,
    home === '' ? 'public' : 'schema',
    ...migrations.map(({ id, sha256 }) => `${id} ${sha256}`),
  ].join('\n')
}

/** False for what asks the database what to do: DO, CALL, IF EXISTS, functions. */
function isSameEverywhere({ statements }: Migration): boolean {
  return statements.every(({ kind, text }) => {
    if (kind === 'DoStmt' || kind === 'CallStmt') return false
    if (kind === 'SelectStmt') return /^select\s+rowhouse\./i.test(text)
    return !/\bif\s+(not\s+)?exists\b/i.test(text)
  })
}
