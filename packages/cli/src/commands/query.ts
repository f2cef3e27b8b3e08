import { buildCommand } from '@stricli/core'
import { createRowhouse, requireUnitId, type ScopedDb, type TenantScope } from 'rowhouse'
import { type Context, command, type Io, type JsonFlag, jsonFlag } from '../command.ts'
import { printJson, printRows } from '../print.ts'
import { appSettings } from '../settings.ts'

interface ScopeFlags extends JsonFlag {
  readonly tenant: string
  readonly actor?: string
  readonly unit?: readonly string[]
}

interface QueryFlags extends ScopeFlags {
  readonly write: boolean
}

const scopeFlags = {
  json: jsonFlag,
  tenant: { kind: 'parsed', parse: String, brief: 'Slug or id of the tenant' },
  actor: { kind: 'parsed', parse: String, optional: true, brief: 'Who acts, e.g. staff:7' },
  unit: {
    kind: 'parsed',
    parse: requireUnitId,
    optional: true,
    variadic: true,
    brief: 'Unit the statement is limited to; may be repeated',
  },
} as const

const sqlArgument = {
  kind: 'tuple',
  parameters: [{ parse: String, brief: 'One SQL statement', placeholder: 'sql' }],
} as const

async function asTenant<T>(
  io: Io,
  flags: ScopeFlags,
  readOnly: boolean,
  work: (db: ScopedDb) => Promise<T>,
): Promise<T> {
  const rowhouse = await createRowhouse({
    ...appSettings(io.env),
    poolSize: 1,
    lanes: 0,
    applicationName: 'rowhouse-cli',
  })
  const scope: TenantScope = {
    tenant: flags.tenant,
    readOnly,
    ...(flags.actor === undefined ? {} : { actor: flags.actor }),
    ...(flags.unit === undefined ? {} : { units: flags.unit }),
  }
  try {
    return await rowhouse.withTenant(scope, work)
  } finally {
    await rowhouse.close()
  }
}

export const queryCommand = buildCommand<QueryFlags, [string], Context>({
  func: command<QueryFlags, [string]>(async (io, flags, sql) => {
    const { rows, fields, rowCount, command: tag } = await asTenant(io, flags, !flags.write, (db) => db.query(sql))
    if (flags.json) return printJson(io, { command: tag, rowCount, rows })
    if (fields.length > 0)
      printRows(
        io,
        rows,
        fields.map((field) => field.name),
      )
    io.stderr.write(`${tag ?? ''} ${rowCount ?? 0}\n`)
  }),
  parameters: {
    flags: {
      ...scopeFlags,
      write: { kind: 'boolean', default: false, withNegated: false, brief: 'Allow the statement to write' },
    },
    positional: sqlArgument,
  },
  docs: {
    brief: 'Run one statement as a tenant, read-only unless --write',
    fullDescription: 'Connects as the application does: DATABASE_URL and ROWHOUSE_ROOT_KEY.',
  },
})

export const explainCommand = buildCommand<ScopeFlags, [string], Context>({
  func: command<ScopeFlags, [string]>(async (io, flags, sql) => {
    const rows = await asTenant(io, flags, true, (db) =>
      db.many<{ 'QUERY PLAN': string }>(`explain (analyze, costs off, timing off, summary off) ${sql}`),
    )
    const plan = rows.map((row) => row['QUERY PLAN'])
    if (flags.json) return printJson(io, { sent: SENT, statement: sql, plan })
    io.stderr.write(`Sent in one flush, before one Sync:\n${SENT.map((line) => `  ${line}\n`).join('')}  ${sql}\n\n`)
    io.stdout.write(`${plan.join('\n')}\n`)
  }),
  parameters: { flags: scopeFlags, positional: sqlArgument },
  docs: {
    brief: 'Show what a scoped statement sends and how PostgreSQL runs it',
    fullDescription:
      'Runs the statement in a read-only transaction (EXPLAIN ANALYZE). Plans tell of all tenants together: show them to operators only.',
  },
})

const SENT = [
  'RESET ALL',
  "select … pg_try_advisory_xact_lock_shared(…), set_config('rowhouse.seal', …, true)",
] as const
