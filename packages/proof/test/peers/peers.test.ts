import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../core/test/support/database.ts'
import { attackPeer, type PeerCell } from './attack-peer.ts'
import { NEUTRAL_SQL } from './neutral-schema.ts'
import { totals, totalsByFamily } from './report.ts'
import { setConfigPeer } from './set-config-peer.ts'

let database: TestDatabase
let cells: PeerCell[]
let page: string

beforeAll(async () => {
  database = await createTestDatabase()
  page = await readFile(new URL('../../../../docs/reference/peers.md', import.meta.url), 'utf8')
  cells = await attackPeer({
    adminUrl: database.adminUrl,
    peer: setConfigPeer,
    schema: NEUTRAL_SQL,
    keys: 'tenant first',
  })
})
afterAll(() => database.drop())

/** Cell of the page's first table that has a row of this name, in the column of this name. */
function pageSays(heading: string, row: string, column: string): string | undefined {
  const lines = page.slice(page.indexOf(`## ${heading}`)).split('\n')
  const split = (line: string | undefined) => line?.split('|').map((text) => text.trim()) ?? []
  const head = split(lines.find((line) => line.startsWith('| ')))
  const found = lines.find((line) => line.startsWith('| ') && split(line)[1]?.replaceAll('*', '').startsWith(row))
  return split(found)[head.indexOf(column)]
}

describe('the comparison with peers', () => {
  it('gives the totals the page has, by family; where it does not, run packages/proof/test/peers/main.ts again', () => {
    const said = totalsByFamily(cells).map(([family]) => [family, pageSays('Totals by family', family, 'set_config')])
    expect(said).toEqual(totalsByFamily(cells))
  })

  it('lets nothing of the setup in without a tenant, and nothing of another tenant out of a table', () => {
    const leaks = cells.filter(({ verdict }) => verdict === 'leaked').map(({ attack }) => attack)
    expect(new Set(leaks)).toEqual(new Set(['CTX-02', 'CTX-07', 'CTX-11']))
  })

  it('forges a context by the mechanism of the peer', () => {
    expect(cells).toContainEqual({
      attack: 'CTX-07',
      title: 'Become another tenant within one statement, in a CTE',
      target: 'public.branch',
      verb: 'switch in a CTE',
      verdict: 'leaked',
      how: '4 rows of the victim, by setting app.tenant_id',
    })
  })

  it('calls a part the peer does not have absent, and does not run the attack', () => {
    expect(cells.filter(({ verdict, how }) => verdict === 'absent' && !how.startsWith('it has no such thing'))).toEqual(
      [],
    )
    expect(cells.filter(({ target, verdict }) => target === 'request' && verdict !== 'absent')).toEqual([])
  })

  it('is refused by the walls and by nothing else: without them every attack on a table succeeds', async () => {
    const open = await attackPeer({
      adminUrl: database.adminUrl,
      peer: { ...setConfigPeer, walls: async (tables, _, app) => `grant all on ${tables.join(', ')} to ${app}` },
      schema: NEUTRAL_SQL,
      keys: 'tenant first',
      only: ({ weakness }) => weakness === 'open',
    })
    expect(open.length).toBeGreaterThan(200)
    expect(open.filter(({ verdict }) => verdict !== 'leaked')).toEqual([])
  })

  it('asks keys of one column, where the page says what they tell', async () => {
    const own = await attackPeer({
      adminUrl: database.adminUrl,
      peer: setConfigPeer,
      schema: setConfigPeer.own.schema,
      keys: 'single',
      only: ({ id }) => id.startsWith('ORA-'),
    })
    expect(pageSays('The same question on the keys of each documentation', 'set_config', 'ORA')).toBe(totals(own))
    expect(own.filter(({ verdict }) => verdict === 'leaked').map(({ attack }) => attack)).toContain('ORA-02')
  })
})
