import { OTHERS } from './fixture.ts'
import type { Case } from './statement.ts'

/** A way to break the isolation, to see that the fuzzer sees it. */
export interface Weakness {
  readonly name: string
  /** Run by a superuser on each database after everything else. */
  readonly sql: string
  /** Kinds of statements that can meet it: the others only take time. @defaultValue all */
  readonly kinds?: readonly Case['kind'][]
  /** True for what only a context limited to units can meet. @defaultValue false */
  readonly units?: boolean
  /** Statements within which it has to be found. */
  readonly within: number
}

const CONTEXT = '(select coalesce((select s.id from rowhouse.sealed s), rowhouse.reject()))'

/** Returns the policies of one table, one per command as in many a tutorial, `loose` ones always true. */
function perCommand(table: string, loose: Readonly<Record<string, string>>): string {
  const mine = `tenant_id = ${CONTEXT}`
  return `drop policy rowhouse_tenant on ${table}; drop policy rowhouse_wall on ${table};
    create policy s on ${table} for select using (${loose.select ?? mine});
    create policy i on ${table} for insert with check (${loose.insert ?? mine});
    create policy u on ${table} for update using (${loose.update ?? mine}) with check (${loose.update ?? mine});
    create policy d on ${table} for delete using (${loose.delete ?? mine});`
}

const WRITES = ['insert', 'update', 'delete', 'merge', 'modifying', 'savepoint'] as const

export const WEAKNESSES: readonly Weakness[] = [
  { name: 'update-open', sql: perCommand('customer', { update: 'true' }), kinds: WRITES, within: 3_000 },
  { name: 'delete-open', sql: perCommand('line', { delete: 'true' }), kinds: WRITES, within: 3_000 },
  { name: 'insert-open', sql: perCommand('ledger', { insert: 'true' }), kinds: WRITES, within: 3_000 },
  {
    name: 'permissive-policy-without-wall',
    sql: 'drop policy rowhouse_wall on ledger; create policy everybody on ledger using (true);',
    within: 1_000,
  },
  {
    name: 'definer-view',
    sql: 'alter view shipment_overview set (security_invoker = false); alter view shipment_overview owner to current_user;',
    within: 1_000,
  },
  {
    name: 'immutable-context',
    sql: `create function context_id() returns uuid language sql immutable as $$ select substr(current_setting('rowhouse.seal', true), 65, 36)::uuid $$;
      drop policy rowhouse_tenant on shipment; drop policy rowhouse_wall on shipment;
      create policy tenant on shipment using (tenant_id = context_id());`,
    kinds: ['generic', 'rotation', 'prepared'],
    within: 500,
  },
  { name: 'no-unit-policy', sql: 'drop policy rowhouse_unit on note;', units: true, within: 2_000 },
  {
    name: 'key-over-all-tenants',
    sql: 'alter table ledger add unique (serial);',
    kinds: WRITES,
    within: 3_000,
  },
  {
    name: 'key-over-all-units',
    sql: 'create unique index on attachment (tenant_id, bytes);',
    kinds: WRITES,
    units: true,
    within: 4_000,
  },
  {
    name: 'partition-open',
    sql: 'alter table event_low no force row level security, disable row level security;',
    within: 1_500,
  },
  {
    name: 'leaky-condition-first',
    sql: 'alter function trap(text, text) leakproof; alter function echo(text) leakproof;',
    kinds: ['probe'],
    within: 500,
  },
  {
    name: 'definer-function',
    sql: 'alter function shipments_of(integer) security definer; alter function label_of(integer) security definer;',
    within: 2_000,
  },
  {
    // Fails nothing, returns nothing, and comes when the transaction ends: only what is committed shows it.
    name: 'write-at-commit',
    sql: `drop trigger sentinel_update on customer;
      create function spread() returns trigger language plpgsql security definer as $$
        begin update customer set score = score + 1 where tenant_id = '${OTHERS[0]?.id}' and id = 1; return null; end $$;
      create constraint trigger spread after insert or update or delete on ledger deferrable initially deferred
        for each row when (pg_trigger_depth() = 0) execute function spread();`,
    kinds: WRITES,
    within: 2_000,
  },
]

/** @throws {RangeError} for a name that is none */
export function requireWeakness(name: string): Weakness {
  const found = WEAKNESSES.find((weakness) => weakness.name === name)
  if (found !== undefined) return found
  throw new RangeError(
    `Cannot weaken by "${name}": wanted one of ${WEAKNESSES.map((weakness) => weakness.name).join(', ')}`,
  )
}
