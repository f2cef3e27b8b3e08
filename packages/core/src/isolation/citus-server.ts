import { ConfigError } from '../errors.ts'
import { CitusContextStatements, poolerRefused } from './citus-context.ts'
import type { ServerVariant } from './server-variant.ts'

/** Asked of each connection: SET LOCAL has to reach the workers, and what carries the seal there has to be closed. */
const COLUMNS = `
  pg_catalog.current_setting('citus.propagate_set_commands', true) as propagates,
  pg_catalog.to_regprocedure('rowhouse.enter(bigint, text, text, boolean)') is not null as enters,
  pg_catalog.has_function_privilege('pg_catalog.set_config(text, text, boolean)', 'execute') as sets,
  pg_catalog.has_function_privilege('pg_catalog.pg_stat_get_activity(integer)', 'execute') as watches`

interface CitusFacts {
  readonly propagates: string | null
  readonly enters: boolean
  readonly sets: boolean
  readonly watches: boolean
}

/** A backend of the coordinator waits for its worker, so that one lane leaves both idle. */
const LANES = 4

/** A coordinator of Citus: one pool too large for any single server. @see docs/guides/citus.md */
export const CITUS: ServerVariant = {
  lanes: LANES,
  startupSettings: {
    'citus.propagate_set_commands': 'local',
    // ROLLBACK in front of each flush warns where there is nothing to roll back.
    client_min_messages: 'error',
  },
  check: { columns: COLUMNS, assert: (facts) => assertReady(facts as unknown as CitusFacts) },
  contextsOf: (sealer, mode, pins) => new CitusContextStatements(sealer, mode, pins),
}

function assertReady({ propagates, enters, sets, watches }: CitusFacts): void {
  if (!enters) {
    throw new ConfigError(
      'ERR_NOT_INSTALLED',
      'Cannot serve tenants from this Citus server: Rowhouse is installed in it as in a PostgreSQL server; add it with kind "citus", or run installCitus()',
    )
  }
  if (sets || watches) {
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot serve tenants from this Citus server: its login may use ${sets ? 'set_config()' : 'pg_stat_activity'}, by which one tenant reaches the next one's work on a worker; run installCitus() again as a superuser`,
    )
  }
  if (propagates !== 'local') throw poolerRefused()
}
