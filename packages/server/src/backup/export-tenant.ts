import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { escapeIdentifier } from 'pg'
import { ArtefactError, isRowhouseError } from 'rowhouse'
import { copyOut } from '../tenant-data/copy-rows.ts'
import { listTenantTables, type TenantTable } from '../tenant-data/tenant-tables.ts'
import { columnList, columnsOf, copyOutOf } from './create-backup.ts'
import { type BackupRoom, requireTenant, schemaOf, withSnapshot } from './tenant-session.ts'

export type ExportFormat = 'csv' | 'jsonl'

export interface ExportReport {
  readonly folder: string
  readonly tenant: string
  readonly tables: number
  readonly rows: number
}

interface ExportedFile {
  readonly file: string
  readonly sha256: string
}

/**
 * Writes a tenant's rows for the tenant itself: a file per table, the tables' shape as JSON and as SQL, digests, and a text
 * that explains them. One snapshot; nothing of other tenants, of the platform, and no key is in it. It is not encrypted.
 *
 * @param folder  is made, and must not be there
 * @throws {ArtefactError} `ERR_ARTEFACT_STORE` when it is there or cannot be written; nothing is left then
 */
export async function exportTenant(
  room: BackupRoom,
  tenant: string,
  folder: string,
  format: ExportFormat,
): Promise<ExportReport> {
  const found = await requireTenant(room, tenant)
  const target = resolve(folder)
  const partial = `${target}.partial`
  return withSnapshot(room, found, `export tenant "${found.slug}"`, async (client) => {
    try {
      await mkdir(dirname(target), { recursive: true })
      await mkdir(partial, { mode: 0o700 })
    } catch (error) {
      throw cannotWrite(target, error)
    }
    try {
      const tables = await listTenantTables(client, schemaOf(found))
      const files: ExportedFile[] = []
      let rows = 0
      for (const table of tables) {
        const written = await writeTable(client, table, found.id, partial, format)
        files.push(written)
        rows += written.rows
      }
      const at = new Date().toISOString()
      const texts = {
        'schema.json': toJson(tables, found.slug, at),
        'schema.sql': toSql(tables),
        'README.md': readme(found.slug, at, format),
      }
      for (const [file, text] of Object.entries(texts)) {
        await writeFile(join(partial, file), text, { mode: 0o600 })
        files.push({ file, sha256: createHash('sha256').update(text).digest('hex') })
      }
      await writeFile(join(partial, 'SHA256SUMS'), files.map(({ file, sha256 }) => `${sha256}  ${file}\n`).join(''))
      // A folder that is there and not empty is never replaced.
      await rename(partial, target)
      return { folder: target, tenant: found.slug, tables: tables.length, rows }
    } catch (error) {
      await rm(partial, { recursive: true, force: true })
      throw isRowhouseError(error) || !('syscall' in (error as object)) ? error : cannotWrite(target, error)
    }
  })
}

async function writeTable(
  client: pg.PoolClient,
  table: TenantTable,
  tenantId: string,
  folder: string,
  format: ExportFormat,
) {
  const file = `${fileNameOf(table.name)}.${format}`
  const columns = columnsOf(table)
  const hash = createHash('sha256')
  const text =
    format === 'csv'
      ? copyOutOf(table, columns, tenantId, '(format csv, header)')
      : // CSV with marks that no JSON text holds: rows come as they are.
        `copy (select row_to_json(r)::text from (select ${columnList(columns)} from ${table.from} where tenant_id = '${tenantId}'::uuid) r)
           to stdout (format csv, quote e'\\x01', delimiter e'\\x02')`
  const counted = async function* () {
    for await (const chunk of copyOut(client, text)) {
      hash.update(chunk)
      yield chunk
    }
  }
  await pipeline(counted, createWriteStream(join(folder, file), { flags: 'wx', mode: 0o600 }))
  const { rows } = await client.query<{ rows: number }>(
    `select count(*)::int as rows from ${table.from} where tenant_id = $1`,
    [tenantId],
  )
  return { file, rows: rows[0]?.rows ?? 0, sha256: hash.digest('hex') }
}

/** Names of tables may hold anything; names of files may not. */
function fileNameOf(table: string): string {
  return table.replaceAll(/[^A-Za-z0-9_-]/g, (letter) => `%${letter.codePointAt(0)?.toString(16)}`)
}

function toJson(tables: readonly TenantTable[], tenant: string, at: string): string {
  const shape = tables.map((table) => ({
    name: table.name,
    columns: columnsOf(table),
    key: table.key.filter((name) => name !== 'tenant_id'),
    references: table.references,
  }))
  return `${JSON.stringify({ tenant, exportedAt: at, tables: shape }, null, 2)}\n`
}

/** Types the platform made itself are text elsewhere. */
function toSql(tables: readonly TenantTable[]): string {
  const statements = tables.map((table) => {
    const columns = columnsOf(table).map(({ name, type }) => `  ${escapeIdentifier(name)} ${portable(type)}`)
    const key = table.key.filter((name) => name !== 'tenant_id')
    if (key.length > 0) columns.push(`  primary key (${key.map((name) => escapeIdentifier(name)).join(', ')})`)
    return `create table ${escapeIdentifier(table.name)} (\n${columns.join(',\n')}\n);\n`
  })
  return statements.join('\n')
}

const PORTABLE =
  /^(smallint|integer|bigint|numeric|real|double precision|boolean|text|character varying|character|bytea|date|time|timestamp|interval|uuid|jsonb?|xml|inet|cidr|macaddr8?|bit|money|point|line|lseg|box|path|polygon|circle|tsvector|tsquery|(int4|int8|num|ts|tstz|date)(multi)?range)\b/

function portable(type: string): string {
  return PORTABLE.test(type) ? type : type.endsWith('[]') ? 'text[]' : 'text'
}

function readme(tenant: string, at: string, format: ExportFormat): string {
  const how =
    format === 'csv'
      ? 'CSV as PostgreSQL writes it: UTF-8, a header, fields quoted where they must be, an empty field without quotes is NULL.'
      : 'JSON lines: UTF-8, one object per row and line. Numbers may have more digits than a double holds.'
  return `# Export of ${tenant}

Taken at ${at}. All files are of the same moment.

- One file per table, \`*.${format}\`: ${how}
- \`schema.json\` and \`schema.sql\`: columns, types and keys. Tables come after those they refer to, so they can be loaded in this order.
- \`SHA256SUMS\`: digests of all files. Check them with \`sha256sum -c SHA256SUMS\`.

The files are not encrypted: keep them as carefully as the system they come from.
`
}

function cannotWrite(target: string, error: unknown): ArtefactError {
  const { code, message } = error as NodeJS.ErrnoException
  const why = code === 'EEXIST' || code === 'ENOTEMPTY' ? 'it is there already; name another folder' : message
  return new ArtefactError('ERR_ARTEFACT_STORE', `Cannot write "${target}": ${why}`, { cause: error })
}
