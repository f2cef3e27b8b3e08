/** A thousand tables: every rule answers. How long it took is printed and not judged; machines differ. */

import pg from 'pg'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../../../core/test/support/database.ts'
import { diagnose } from '../../src/doctor/diagnose.ts'
import { examine } from '../../src/doctor/examine.ts'
import { ALL_RULES } from '../../src/doctor/rules.ts'
import { takeSurvey } from '../../src/doctor/survey.ts'

/** In steps, because each table holds locks until its transaction ends. */
const TABLES = (from: number, to: number) => `do $$ begin for i in ${from}..${to} loop
  execute format('create table t%s (tenant_id uuid not null, id bigint, parent_id bigint, name text, primary key (tenant_id, id), unique (tenant_id, name)%s)',
    i, case when i % 2 = 0 then format(', foreign key (tenant_id, parent_id) references t%s (tenant_id, id)', i - 1) else '' end);
  execute format('create index on t%s (tenant_id, parent_id)', i);
  if i % 3 = 0 then execute format('create index on t%s (name)', i); end if;
  if i % 4 <> 0 then perform rowhouse.protect(format('t%s', i)::regclass); end if;
  execute format('insert into t%s (tenant_id, id) select r.tenant_id, 1 from rowhouse.resident r', i);
end loop; end $$`

test('1,000 tables, protected and not: every rule answers', async () => {
  const database = await createTestDatabase()
  const client = new pg.Client({ connectionString: database.adminUrl })
  await client.connect()
  try {
    for (let from = 1; from <= 1000; from += 100) await client.query(TABLES(from, from + 99))
    const { findings, failed, tenantTables, elapsedMs } = await diagnose({ url: database.adminUrl })
    expect({ failed, tenantTables }).toEqual({ failed: [], tenantTables: 1000 })
    expect(findings.filter(({ rule }) => rule === 'L01')).toHaveLength(250)
    expect(findings.filter(({ rule }) => rule === 'L29')).toHaveLength(333)
    console.info(`1,000 tables: ${Math.round(elapsedMs)} ms; slowest rules: ${(await slowest(client)).join(', ')}`)
  } finally {
    await client.end()
    await database.drop()
  }
}, 300_000)

async function slowest(client: pg.Client): Promise<string[]> {
  await client.query('begin')
  const survey = await takeSurvey(client, { appRoles: ['rowhouse_app'] })
  const times: [string, number][] = []
  for (const rule of ALL_RULES) {
    const started = performance.now()
    await examine(client, survey, [rule])
    times.push([rule.id, performance.now() - started])
  }
  await client.query('rollback')
  return times
    .sort(([, a], [, b]) => b - a)
    .slice(0, 6)
    .map(([id, ms]) => `${id} ${Math.round(ms)} ms`)
}
