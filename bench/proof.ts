import pg from 'pg'
import { install } from 'rowhouse/install'
import { applyFreightSchema } from 'rowhouse-example-freight'
import { ALL_RULES, attackStage, diagnose, fuzz, inject, mutate, setStage } from 'rowhouse-proof'
import type { BenchDatabase } from './database.ts'
import { round } from './measure.ts'

const TABLES = 1_000
const STATEMENTS = 20_000

/**
 * How long showing takes: the doctor on a thousand tables, verify and its mutations on the freight schema, fuzzing and
 * injection by statements and payloads. Figures of one run each, not ratios: there is nothing to compare them with.
 */
export async function benchProof(db: BenchDatabase) {
  const scale = await makeDatabase(db, 'proof_scale')
  await withAdmin(scale.adminUrl, fillWithTables)
  const doctor = await diagnose({ url: scale.adminUrl })
  const freight = await makeDatabase(db, 'proof_freight')
  await applyFreightSchema(freight.adminUrl)
  const stage = await setStage(freight)
  try {
    const verified = await attackStage(stage, {})
    const mutated = await mutate(stage, { rules: ALL_RULES, appRole: 'rowhouse_app' })
    const fuzzed = await fuzz({ ...freight, seed: 7, statements: STATEMENTS })
    const injected = await inject(freight)
    return {
      doctor: { tables: doctor.tenantTables, findings: doctor.findings.length, ms: Math.round(doctor.elapsedMs) },
      verify: {
        refused: verified.refused,
        leaked: verified.leaked,
        controls: verified.controls,
        seconds: seconds(verified.elapsedMs),
      },
      mutations: { killed: mutated.killed, total: mutated.total, seconds: seconds(mutated.elapsedMs) },
      fuzz: {
        statements: fuzzed.statements,
        perSecond: fuzzed.perSecond,
        failures: fuzzed.failures.length,
        controls: fuzzed.controls.filter(({ fired }) => fired).length,
      },
      inject: {
        payloads: injected.payloads,
        runs: injected.runs,
        leftOver: injected.verdicts.leaked,
        seconds: seconds(injected.elapsedMs),
      },
    }
  } finally {
    await stage.close()
  }
}

function seconds(ms: number): number {
  return round(ms / 1000, 1)
}

async function makeDatabase(db: BenchDatabase, name: string) {
  await db.admin.query(`create database ${name}`)
  const urls = db.urlsFor(name)
  await install({ url: urls.adminUrl, rootKey: db.rootKey })
  return urls
}

async function withAdmin(url: string, fn: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await fn(client).finally(() => client.end())
}

/** Protected tables with a foreign key, a unique key and an index each. In steps: every table holds locks until its commit. */
async function fillWithTables(client: pg.Client): Promise<void> {
  for (let from = 1; from <= TABLES; from += 100) {
    await client.query(`do $$ begin for i in ${from}..${from + 99} loop
      execute format('create table t%s (tenant_id uuid not null, id bigint, parent_id bigint, name text, primary key (tenant_id, id), unique (tenant_id, name), foreign key (tenant_id, parent_id) references t%s (tenant_id, id))', i, greatest(i - 1, ${from}));
      execute format('create index on t%s (tenant_id, parent_id)', i);
      perform rowhouse.protect(format('t%s', i)::regclass);
    end loop; end $$`)
  }
}
