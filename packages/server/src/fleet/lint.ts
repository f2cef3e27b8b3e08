import { KnownSchema } from './known-schema.ts'
import type { Severity } from './lint/rule.ts'
import { ALLOWANCE_RULE, LINT_RULES } from './lint/rules.ts'
import type { Migration } from './migration.ts'

/** What the lint says about one statement of one migration. */
export interface LintFinding {
  /** Stable id, e.g. `M10`. */
  readonly rule: string
  /** Stable name, e.g. `index-blocks-writers`. */
  readonly name: string
  readonly severity: Severity
  /** Id of the migration. */
  readonly migration: string
  readonly file: string
  /** Line the statement begins at, from 1. */
  readonly line: number
  /** One sentence without a full stop: what was found. */
  readonly message: string
  /** What happens otherwise. */
  readonly why: string
  /** Migration files that reach the same end safely, in their order; empty where a person has to decide. */
  readonly mend: readonly string[]
  /** Reason given by `-- rowhouse: allow`; such findings stop nothing. */
  readonly allowed: string | undefined
}

export interface LintOptions {
  /** Majors of the servers the migration is for. @defaultValue [15], the oldest Rowhouse runs on */
  readonly majors?: readonly number[]
}

/**
 * Says what a migration would do to the release that still runs, to other sessions, and to the walls between tenants.
 *
 * Reads the syntax tree and nothing else. `earlier` tells it what the tables look like: without them a changed type counts
 * as a rewrite, a foreign key as one to a tenant table, and SET NOT NULL as unproved.
 *
 * @param options.earlier migrations that ran before this one, in their order
 * @returns findings in the order of the statements; those somebody allowed carry the reason
 * @example
 * ```ts
 * import { lintMigration, readMigrations } from 'rowhouse-server'
 * const migrations = await readMigrations('migrations')
 * const last = migrations.at(-1)
 * if (last !== undefined) {
 *   for (const { rule, line, message } of lintMigration(last, { majors: [16, 18], earlier: migrations.slice(0, -1) })) {
 *     console.log(rule, line, message)
 *   }
 * }
 * ```
 */
export function lintMigration(
  migration: Migration,
  options: LintOptions & { readonly earlier?: readonly Migration[] } = {},
): readonly LintFinding[] {
  const known = new KnownSchema()
  for (const each of options.earlier ?? []) known.apply(each)
  return lintAfter(known, migration, options)
}

/**
 * Lints a whole folder, each migration with what the ones before it made.
 *
 * @param migrations in their order, as `readMigrations` returns them
 * @example
 * ```ts
 * import { lintMigrations, readMigrations } from 'rowhouse-server'
 * const stopping = lintMigrations(await readMigrations('migrations'), { majors: [18] }).filter(
 *   ({ severity, allowed }) => severity === 'error' && allowed === undefined,
 * )
 * process.exitCode = stopping.length === 0 ? 0 : 1
 * ```
 */
export function lintMigrations(migrations: readonly Migration[], options: LintOptions = {}): readonly LintFinding[] {
  const known = new KnownSchema()
  return migrations.flatMap((migration) => lintAfter(known, migration, options))
}

/** Lints one migration and leaves in `known` what it made. */
function lintAfter(known: KnownSchema, migration: Migration, { majors = [15] }: LintOptions): LintFinding[] {
  const findings: LintFinding[] = []
  const fresh = new Set<string>()
  const lowestMajor = Math.min(...majors)
  known.addReferences(migration)
  for (const [index, statement] of migration.statements.entries()) {
    const context = { migration, index, known, fresh, lowestMajor }
    const place = { migration: migration.id, file: migration.file, line: statement.line }
    for (const { id: rule, name, severity, why, check } of LINT_RULES) {
      for (const found of check(statement, context)) {
        const allowed = migration.allowances.find(
          (each) => each.rule === rule && (each.statement ?? index) === index,
        )?.reason
        findings.push({
          rule,
          name,
          severity: found.severity ?? severity,
          ...place,
          message: found.message,
          why,
          mend: found.mend ?? [],
          allowed,
        })
      }
    }
    known.applyStatement(statement)
    if (statement.creates !== undefined) fresh.add(statement.creates.name)
  }
  return [...findings, ...uselessAllowances(migration, findings)]
}

/** An exception nobody needs any more hides the next mistake. */
function uselessAllowances(migration: Migration, findings: readonly LintFinding[]): LintFinding[] {
  const used = (rule: string, line: number | undefined) =>
    findings.some(
      (each) => each.rule === rule && each.allowed !== undefined && (line === undefined || line === each.line),
    )
  return migration.allowances
    .filter(
      ({ rule, statement }) => !used(rule, statement === undefined ? undefined : migration.statements[statement]?.line),
    )
    .map(({ rule, line }) => ({
      rule: ALLOWANCE_RULE.id,
      name: ALLOWANCE_RULE.name,
      severity: ALLOWANCE_RULE.severity,
      migration: migration.id,
      file: migration.file,
      line,
      message: LINT_RULES.some((each) => each.id === rule)
        ? `${rule} says nothing here: take the comment out`
        : `there is no rule ${rule}`,
      why: ALLOWANCE_RULE.why,
      mend: [],
      allowed: undefined,
    }))
}
