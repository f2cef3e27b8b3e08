import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { withAdminClient } from '../../../packages/core/test/support/admin-client.ts'
import { PAYLOADS } from '../src/lab/search-attack.ts'
import { Browser } from './support/browser.ts'
import { type LabResult, labResults } from './support/lab-results.ts'
import { startTestDemo, type TestDemo } from './support/test-demo.ts'

const ROWHOUSE = 'Rowhouse: sealed context'
const SETTING = 'Control: row-level security on a plain setting'
const OPEN = 'Control: no policy, the application adds WHERE'

let demo: TestDemo
let before: string

beforeAll(async () => {
  demo = await startTestDemo()
  before = await fingerprint()
})
afterAll(() => demo.drop())

/** All rows of all tenants that attacks write to, behind the walls. */
async function fingerprint(): Promise<string> {
  return withAdminClient(demo.database.adminUrl, async (client) => {
    const { rows } = await client.query<{ sum: string }>(
      `select md5(string_agg(line, '' order by line)) as sum from (
         select c::text as line from customer c union all select s::text from shipment s
         union all select o::text from lab.open_shipment o union all select p::text from lab.setting_shipment p) all_rows`,
    )
    return rows[0]?.sum ?? ''
  })
}

async function attack(path: string, form: Readonly<Record<string, string>> = {}): Promise<LabResult[]> {
  const { status, body } = await new Browser(demo.port, 'acme').post(`/lab/${path}`, { form })
  expect(status).toBe(200)
  return labResults(body)
}

function payload(name: string): string {
  const found = PAYLOADS.find((each) => each.name === name)
  if (found === undefined) throw new Error(`There is no payload "${name}"`)
  return found.text
}

function verdicts(results: readonly LabResult[]): Record<string, string> {
  return Object.fromEntries(results.map(({ wall, verdict }) => [wall, verdict]))
}

describe('text spliced into SQL', () => {
  test.each([
    ['always true', 'own', 'own', 'leaked'],
    ['union with the whole table', 'own', 'own', 'leaked'],
    ['become another tenant', 'refused', 'leaked', 'leaked'],
    ['become another tenant inside XML', 'refused', 'leaked', undefined],
    ['a second statement', 'refused', 'leaked', 'leaked'],
    ['read the keys', 'refused', 'refused', 'refused'],
    ['list the tenants', 'refused', 'refused', 'refused'],
    ['drop the table', 'refused', 'refused', 'refused'],
  ])(
    '"%s" is %s by Rowhouse; behind a plain setting %s, without a policy %s',
    async (name, rowhouse, setting, open) => {
      const found = verdicts(await attack('search', { q: payload(name) }))
      expect(found).toMatchObject({
        [ROWHOUSE]: rowhouse,
        [SETTING]: setting,
        ...(open === undefined ? {} : { [OPEN]: open }),
      })
    },
  )

  test.each([
    [
      'become another tenant',
      ['ERR_ISOLATION_SEAL_REFUSED', 'SQLSTATE 42501'],
      'the database refused the tenant context',
    ],
    ['a second statement', ['ERR_STATEMENT_FAILED', 'SQLSTATE 42601'], 'cannot insert multiple commands'],
    ['read the keys', ['ERR_STATEMENT_FAILED', 'SQLSTATE 42501'], 'permission denied for table resident'],
  ])('"%s" is refused with its codes and the reason', async (name, codes, reason) => {
    const result = (await attack('search', { q: payload(name) })).find(({ wall }) => wall === ROWHOUSE)
    expect(result?.codes).toEqual(codes)
    expect(result?.text).toContain(reason)
  })

  test('a control that ends its transaction reaches nothing but the twins', async () => {
    const breakout = `x'; rollback; reset role; select number, null, null, null, tenant_id from public.shipment --`
    const [setting, open] = (await attack('search', { q: breakout })).filter(({ wall }) => wall !== ROWHOUSE)
    for (const result of [setting, open]) {
      expect(result).toMatchObject({ verdict: 'refused', codes: ['SQLSTATE 42501'] })
      expect(result?.text).toContain('permission denied for ')
    }
  })

  test('an id that stands in the statement proves no leak', async () => {
    const stolen = `x' and false union all select '${'{switch}'}', null, null, null, null --`
    expect(verdicts(await attack('search', { q: stolen }))[ROWHOUSE]).not.toBe('leaked')
  })
})

test('a page that forgets the WHERE reads and writes own rows only, and without a policy those of others', async () => {
  const results = await attack('forgetful')
  const of = (wall: string) => results.filter((result) => result.wall === wall).map(({ verdict }) => verdict)
  expect(of(ROWHOUSE)).toEqual(['own', 'own', 'own', 'own', 'refused', 'refused'])
  expect(of(OPEN)).toEqual(['leaked', 'leaked', 'leaked', 'leaked', 'leaked', 'leaked'])
})

test('a connection kept from another request is refused, and a stock connection leaks', async () => {
  const [sealed, stock] = await attack('stale')
  expect(sealed).toMatchObject({ verdict: 'refused', wall: ROWHOUSE, codes: ['ERR_TENANT_CONTEXT_MISMATCH'] })
  expect(stock).toMatchObject({ verdict: 'leaked', wall: 'Control: tenant set on the connection' })
})

test('wrong doors stay shut, and a door that believes a header opens', async () => {
  const results = await attack('doors')
  const atFrontDoor = results.filter(({ wall }) => wall === 'The front door')
  expect(atFrontDoor.map(({ attack, verdict }) => [attack, verdict])).toEqual([
    ['own key at the own door, which is right', 'own'],
    ['id of another tenant', 'refused'],
    ['key of another tenant', 'refused'],
    ['header names another tenant', 'refused'],
    ['own key at the other door', 'refused'],
    ['two hosts', 'refused'],
    ['host nobody has', 'refused'],
    ['host with a trick', 'refused'],
  ])
  expect(results.filter(({ wall }) => wall.startsWith('Control')).map(({ verdict }) => verdict)).toEqual(['leaked'])
})

test('after all attacks every row of every tenant is as it was', async () => {
  expect(await fingerprint()).toBe(before)
})

test('every attempt is in the log with tenant, attack, verdict and reason', async () => {
  await demo.stop()
  const text = await readFile(join(demo.dataDir, 'freight.log'), 'utf8')
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  const attacks = lines.filter(({ msg }) => msg === 'attack')
  expect(attacks.length).toBeGreaterThan(30)
  for (const line of attacks) {
    expect(line).toMatchObject({ tenant: 'acme', verdict: expect.any(String), reason: expect.any(String) })
  }
  expect(attacks.filter(({ verdict, isControl }) => verdict === 'leaked' && isControl !== true)).toEqual([])
})

test('nothing weak stays behind when the demonstration has stopped', async () => {
  await demo.stop()
  await withAdminClient(demo.database.adminUrl, async (client) => {
    const { rows } = await client.query<{ found: boolean }>(
      `select to_regnamespace('lab') is not null or exists (
         select from rowhouse.api_key where name = 'attack lab' and revoked_at is null) as found`,
    )
    expect(rows).toEqual([{ found: false }])
  })
})
