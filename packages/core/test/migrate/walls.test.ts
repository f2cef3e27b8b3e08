import pg from 'pg'
import { createTenantAdmin, protect, type RegisteredTenant } from 'rowhouse/install'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Sealer } from '../../src/seal/seal.ts'
import { parseRootKey } from '../../src/seal/tenant-key.ts'
import { requireUnitId } from '../../src/tenant/tenant-id.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

const UNIT_1 = '00000000-0000-4000-8000-000000000001'
const UNIT_2 = '00000000-0000-4000-8000-000000000002'

/**
 * What a protected table refuses to `rowhouse_app` itself, with nothing of the library in between. Each attack also runs
 * against a weakened twin, where it has to succeed: without that, a refusal would prove nothing.
 */
let database: TestDatabase
let admin: pg.Client
let app: pg.Client
let a: RegisteredTenant
let b: RegisteredTenant

beforeAll(async () => {
  database = await createTestDatabase()
  admin = new pg.Client({ connectionString: database.adminUrl })
  app = new pg.Client({ connectionString: database.appUrl })
  await Promise.all([admin.connect(), app.connect()])
  const tenants = createTenantAdmin({ url: database.adminUrl, rootKey: database.rootKey })
  a = await tenants.create({ slug: 'acme' })
  b = await tenants.create({ slug: 'globex' })
  await tenants.close()
  for (const table of ['walled', 'twin']) {
    await admin.query(
      `create table ${table} (tenant_id uuid not null, id int, unit_id uuid, label text, primary key (tenant_id, id))`,
    )
    await protect({ url: database.adminUrl, tables: [{ name: table, unitScope: true }] })
    await admin.query(
      `insert into ${table} select t, n, case n when 1 then $2::uuid when 2 then $3 end, 'row'
         from unnest($1::uuid[]) t, generate_series(1, 3) n`,
      [[a.id, b.id], UNIT_1, UNIT_2],
    )
  }
  await admin.query(`drop policy rowhouse_wall on twin; drop policy rowhouse_unit on twin;
    alter policy rowhouse_tenant on twin using (true) with check (true); grant all on twin to rowhouse_app`)
})
afterAll(async () => {
  await Promise.all([app.end(), admin.end()])
  await database.drop()
})

function sealOf(
  tenant: RegisteredTenant,
  units?: readonly string[],
  { rootKey = database.rootKey, madeAtS = Math.floor(Date.now() / 1000) } = {},
): string {
  const context = { tenant, actor: 'test', units: units?.map(requireUnitId), readOnly: false, timeoutMs: undefined }
  return new Sealer(parseRootKey(rootKey), () => madeAtS).seal(context).text
}

/** Runs one statement as the application and undoes it. Returns the rows it reached, or the SQLSTATE it was refused with. */
async function attempt(text: string, seal?: string): Promise<number | string> {
  await app.query('begin')
  try {
    if (seal !== undefined) await app.query(`select set_config('rowhouse.seal', $1, true)`, [seal])
    const { rowCount } = await app.query(text)
    return rowCount ?? 0
  } catch (error) {
    return (error as pg.DatabaseError).code ?? String(error)
  } finally {
    await app.query('rollback')
  }
}

const on = (table: string, text: string) => text.replaceAll('$t', table).replaceAll('$b', `'${b.id}'`)

/** As tenant A. `walled` is what the wall answers, `weak` what the twin without it does. */
const ATTACKS: [name: string, text: string, walled: number | string, weak: number | string][] = [
  ['select without WHERE', 'select * from $t', 3, 6],
  ['select of the other tenant', 'select * from $t where tenant_id = $b', 0, 3],
  ['insert for the other tenant', 'insert into $t (tenant_id, id) values ($b, 9)', '42501', 1],
  ['update of the other tenant', `update $t set label = 'x' where tenant_id = $b`, 0, 3],
  ['blind update', `update $t set label = 'x'`, 3, 6],
  ['delete of the other tenant', 'delete from $t where tenant_id = $b', 0, 3],
  ['blind delete', 'delete from $t', 3, 6],
  ['giving a row away', 'update $t set tenant_id = $b, id = 9 where id = 1', '42501', '23505'],
  ['upsert over the other tenant', `insert into $t values ($b, 1) on conflict do nothing`, '42501', 0],
  ['row lock on the other tenant', 'select from $t where tenant_id = $b for update', 0, 3],
  ['truncate', 'truncate $t', '42501', 0],
  [
    'trigger',
    'create trigger x before update on $t for each row execute function suppress_redundant_updates_trigger()',
    '42501',
    0,
  ],
]

describe('a protected table, as rowhouse_app', () => {
  it.each(ATTACKS)('%s', async (_, text, walled, weak) => {
    expect(await attempt(on('twin', text), sealOf(a))).toBe(weak)
    expect(await attempt(on('walled', text), sealOf(a))).toBe(walled)
  })

  it('answers without a context with an error, never with an empty result', async () => {
    for (const text of ['select * from $t', `update $t set label = 'x'`, 'delete from $t']) {
      expect(await attempt(on('twin', text))).toBe(6)
      expect(await attempt(on('walled', text))).toBe('42501')
    }
  })

  it('refuses a forged context: the tenant exchanged, the units widened, another root key, an expired seal', async () => {
    const own = sealOf(a, [UNIT_1])
    const forged = [
      own.slice(0, 64) + own.slice(64).replace(a.id, b.id),
      own.replace(`${UNIT_1}|`, '*|'),
      sealOf(a, undefined, { rootKey: 'cd'.repeat(32) }),
      sealOf(a, undefined, { madeAtS: Math.floor(Date.now() / 1000) - 3_600 }),
      'x',
    ]
    expect(await attempt('select * from walled', own)).toBe(1)
    for (const seal of forged) {
      expect(await attempt('select * from twin', seal)).toBe(6)
      expect(await attempt('select * from walled', seal)).toBe('42501')
    }
  })

  it('keeps units apart for reads and writes', async () => {
    const unit1 = sealOf(a, [UNIT_1])
    expect(await attempt('select * from twin', unit1)).toBe(6)
    expect(await attempt('select * from walled', unit1)).toBe(1)
    expect(await attempt('delete from walled', unit1)).toBe(1)
    expect(await attempt(`update walled set unit_id = '${UNIT_2}'`, unit1)).toBe('42501')
    expect(await attempt(`insert into walled (id, unit_id) values (9, '${UNIT_2}')`, unit1)).toBe('42501')
    expect(await attempt('insert into walled (id) values (9)', unit1)).toBe('42501')
    expect(await attempt(`insert into walled (id, unit_id) values (9, '${UNIT_1}')`, unit1)).toBe(1)
    expect(await attempt('select * from walled', sealOf(a, []))).toBe(0)
    expect(await attempt('select * from walled', sealOf(a))).toBe(3)
  })

  it('holds for its owner', async () => {
    await admin.query('begin; set local role rowhouse_owner')
    await expect(admin.query('select * from walled')).rejects.toMatchObject({ code: '42501' })
    await admin.query('rollback')
  })

  it('runs policies once per statement and finds rows by the tenant’s index', async () => {
    await admin.query(
      `insert into walled select md5((n % 50)::text)::uuid, n, null, 'more' from generate_series(10, 5000) n`,
    )
    await admin.query('analyze walled')
    await app.query('begin')
    await app.query(`select set_config('rowhouse.seal', $1, true)`, [sealOf(a)])
    const { rows } = await app.query<{ 'QUERY PLAN': string }>('explain (costs off) select * from walled')
    await app.query('rollback')
    const lines = rows.map((row) => row['QUERY PLAN'])
    expect(lines.join('\n')).not.toMatch(/Seq Scan on walled|SubPlan/)
    expect(lines.filter((line) => /Index Cond: \(tenant_id = /.test(line)).length).toBe(1)
    expect(lines.filter((line) => /InitPlan/.test(line)).length).toBeGreaterThan(2)
  })
})
