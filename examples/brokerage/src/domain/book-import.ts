import type { ScopedDb, Transaction } from 'rowhouse'
import { findAmount } from './amount.ts'
import { CsvError, parseCsv } from './csv.ts'
import { InputError, type InputFault, readText } from './input-error.ts'
import { findIsoDate } from './iso-date.ts'

/** Columns of a book of business, in any order; the first line names them. */
export const BOOK_COLUMNS = [
  'client_reference',
  'client_name',
  'client_kind',
  'city',
  'policy_number',
  'carrier',
  'line',
  'premium',
  'starts_on',
  'ends_on',
] as const
type Column = (typeof BOOK_COLUMNS)[number]

export const MAX_BOOK_BYTES = 8 * 1024 * 1024
const MAX_BOOK_ROWS = 50_000

/** What an import wrote. */
export interface ImportReport {
  /** Policies that were new, and those that were there already and stayed as they are. */
  readonly policies: number
  readonly known: number
  /** Clients that were new, or whose name or city changed. */
  readonly clients: number
  readonly commissions: number
}

/** Faults shown at once: a file with a wrong separator is wrong on every line. */
const MAX_FAULTS = 20

type Row = Readonly<Record<Column, string>>

/**
 * Brings a broker's book of business in: clients, policies and what insurers owe for them. All of it or nothing.
 *
 * Four statements for any number of rows: each takes its rows as arrays (`unnest`), and `tenant_id` is filled in by the
 * database. Importing the same book again changes nothing.
 *
 * @param csv  at most 8 MiB and 50 000 lines, the first one with the names of the columns
 * @throws {InputError} with the lines that cannot be used, the first 20 of them
 */
export async function importBook(db: ScopedDb, csv: string): Promise<ImportReport> {
  const rows = parseBook(csv)
  return db.transaction({ timeoutMs: IMPORT_TIMEOUT_MS }, async (tx) => {
    await assertMarketKnows(tx, rows)
    const clients = await tx.query(UPSERT_CLIENTS, columnsOf(rows, CLIENT_COLUMNS))
    const policies = await tx.many<{ id: string }>(INSERT_POLICIES, columnsOf(rows, POLICY_COLUMNS))
    const commissions = await tx.query(INSERT_COMMISSIONS, [policies.map(({ id }) => id)])
    return {
      policies: policies.length,
      known: rows.length - policies.length,
      clients: clients.rowCount ?? 0,
      commissions: commissions.rowCount ?? 0,
    }
  })
}

/** Fifty thousand rows take some seconds; a machine a few times slower should still get through. */
const IMPORT_TIMEOUT_MS = 60_000

const CLIENT_COLUMNS = ['client_reference', 'client_name', 'client_kind', 'city'] as const
const POLICY_COLUMNS = [
  'policy_number',
  'client_reference',
  'carrier',
  'line',
  'premium',
  'starts_on',
  'ends_on',
] as const

/** A client with several policies stands on several lines; the last one counts. */
const UPSERT_CLIENTS = `
  insert into client (reference, name, kind, city)
  select distinct on (r.reference) r.reference, r.name, r.kind, r.city
    from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality r (reference, name, kind, city, place)
   order by r.reference, r.place desc
  on conflict (tenant_id, reference) do update set name = excluded.name, kind = excluded.kind, city = excluded.city
   where (client.name, client.kind, client.city) is distinct from (excluded.name, excluded.kind, excluded.city)`

const INSERT_POLICIES = `
  insert into policy (number, client_id, carrier_code, line_code, premium, starts_on, ends_on, status)
  select r.number, c.id, r.carrier, r.line, r.premium, r.starts_on, r.ends_on,
         case when r.ends_on < current_date then 'lapsed' else 'in_force' end
    from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::numeric[], $6::date[], $7::date[])
           r (number, client, carrier, line, premium, starts_on, ends_on)
    join client c on c.reference = r.client
  on conflict (tenant_id, number) do nothing
  returning id`

/** A policy of a client who had one of this line before is a renewal. */
const INSERT_COMMISSIONS = `
  insert into commission (policy_id, carrier_code, kind, month, premium, percent)
  select p.id, p.carrier_code, k.kind, date_trunc('month', p.starts_on)::date, p.premium,
         case k.kind when 'new' then r.new_percent else r.renewal_percent end
    from policy p
    join commission_rate r on r.carrier_code = p.carrier_code and r.line_code = p.line_code,
    lateral (select case when exists (
      select from policy o where o.tenant_id = p.tenant_id and o.client_id = p.client_id and o.line_code = p.line_code and o.starts_on < p.starts_on
    ) then 'renewal' else 'new' end as kind) k
   where p.id = any ($1::uuid[])`

function columnsOf(rows: readonly Row[], columns: readonly Column[]): string[][] {
  return columns.map((column) => rows.map((row) => row[column]))
}

/** @throws {InputError} for a text that is no book */
function parseBook(csv: string): Row[] {
  if (Buffer.byteLength(csv) > MAX_BOOK_BYTES) throw refuse('book', `must have at most ${MAX_BOOK_BYTES} bytes`)
  const [head, ...lines] = readCsv(csv)
  const places = new Map(head?.fields.map((name, index) => [name.trim().toLowerCase(), index]))
  const missing = BOOK_COLUMNS.filter((column) => !places.has(column))
  if (missing.length > 0) throw refuse('line 1', `must name the columns; missing: ${missing.join(', ')}`)
  if (lines.length === 0 || lines.length > MAX_BOOK_ROWS) {
    throw refuse('book', `must have 1 to ${MAX_BOOK_ROWS} lines below the first`)
  }
  const faults: InputFault[] = []
  const seen = new Set<string>()
  const rows: Row[] = []
  for (const { line, fields } of lines) {
    const cell = (column: Column) => fields[places.get(column) ?? -1]
    const found: InputFault[] = []
    const row = readRow(cell, found)
    if (seen.has(row.policy_number)) found.push({ field: 'policy_number', message: 'must be on one line only' })
    seen.add(row.policy_number)
    rows.push(row)
    faults.push(...found.map(({ field, message }) => ({ field: `line ${line}, ${field}`, message })))
    if (faults.length >= MAX_FAULTS) break
  }
  if (faults.length > 0) throw new InputError(faults.slice(0, MAX_FAULTS))
  return rows
}

function readCsv(csv: string): ReturnType<typeof parseCsv> {
  try {
    return parseCsv(csv)
  } catch (error) {
    if (error instanceof CsvError) throw refuse(`line ${error.line}`, `must be CSV: ${error.message}`)
    throw error
  }
}

function readRow(cell: (column: Column) => string | undefined, faults: InputFault[]): Row {
  const text = (column: Column, most: number) => readText(cell(column), column, most, faults)
  const checked = (column: Column, value: string | undefined, wanted: string) => {
    if (value === undefined) faults.push({ field: column, message: `must be ${wanted}` })
    return value ?? ''
  }
  const kind = cell('client_kind')?.trim()
  const startsOn = checked('starts_on', findIsoDate(cell('starts_on')?.trim()), 'a day, e.g. 2026-01-31')
  const endsOn = checked('ends_on', findIsoDate(cell('ends_on')?.trim()), 'a day, e.g. 2027-01-31')
  if (startsOn !== '' && endsOn !== '' && endsOn <= startsOn) {
    faults.push({ field: 'ends_on', message: 'must be after starts_on' })
  }
  return {
    client_reference: text('client_reference', 40),
    client_name: text('client_name', 200),
    client_kind: checked(
      'client_kind',
      kind === 'business' || kind === 'private' ? kind : undefined,
      'business or private',
    ),
    city: text('city', 100),
    policy_number: text('policy_number', 60),
    carrier: text('carrier', 3),
    line: text('line', 6),
    premium: checked('premium', findAmount(cell('premium')), 'an amount above 0, e.g. 1250.00'),
    starts_on: startsOn,
    ends_on: endsOn,
  }
}

/** Foreign keys would refuse the first one and name it; a person with a file wants to hear of all. */
async function assertMarketKnows(tx: Transaction, rows: readonly Row[]): Promise<void> {
  const { carriers, lines } = await tx.one<{ carriers: string[]; lines: string[] }>(
    `select array(select distinct c from unnest($1::text[]) c where c not in (select code from carrier)) as carriers,
            array(select distinct l from unnest($2::text[]) l where l not in (select code from line)) as lines`,
    columnsOf(rows, ['carrier', 'line']),
  )
  const faults = [
    ...carriers.map((code) => ({ field: 'carrier', message: `"${code}" is no insurer here` })),
    ...lines.map((code) => ({ field: 'line', message: `"${code}" is no line of business here` })),
  ]
  if (faults.length > 0) throw new InputError(faults.slice(0, MAX_FAULTS))
}

function refuse(field: string, message: string): InputError {
  return new InputError([{ field, message }])
}
