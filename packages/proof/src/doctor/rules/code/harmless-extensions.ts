/**
 * Extensions whose functions reach nothing but their arguments and the tables they are put on, or that only an operator
 * may use. Others may be harmless, too; somebody has to have looked.
 */
export const HARMLESS_EXTENSIONS = [
  ...['bloom', 'btree_gin', 'btree_gist', 'citext', 'cube', 'dict_int', 'dict_xsyn', 'earthdistance', 'fuzzystrmatch'],
  ...['hstore', 'intarray', 'isn', 'ltree', 'moddatetime', 'pg_trgm', 'pgcrypto', 'plpgsql', 'seg', 'tablefunc'],
  ...['tsm_system_rows', 'tsm_system_time', 'unaccent', 'uuid-ossp', 'xml2', 'sslinfo', 'tcn'],
  ...[
    'amcheck',
    'pg_buffercache',
    'pg_freespacemap',
    'pg_prewarm',
    'pg_stat_statements',
    'pg_visibility',
    'pg_walinspect',
  ],
  ...[
    'pgrowlocks',
    'pgstattuple',
    'pgaudit',
    'pg_repack',
    'pg_partman',
    'pg_hint_plan',
    'hypopg',
    'pgtap',
    'plpgsql_check',
  ],
  ...[
    'postgis',
    'postgis_topology',
    'postgis_raster',
    'address_standardizer',
    'h3',
    'vector',
    'rum',
    'pg_uuidv7',
    'pgroonga',
  ],
] as const

/** What the best known of the others open. */
export const OPENINGS = [
  ['dblink', 'opens connections to any server, this one included'],
  ['postgres_fdw', 'opens tables of other servers, which have no policies'],
  ['file_fdw', 'reads files of the server'],
  ['adminpack', 'writes files of the server'],
  ['lo', 'makes large objects, which have no tenant'],
  ['refint', 'runs SQL built from names and values'],
  ['insert_username', 'runs C code at each write'],
  ['autoinc', 'counts in a sequence all tenants share'],
  ['pageinspect', 'reads pages of tables past their policies'],
  ['pg_surgery', 'changes rows past their policies'],
  ['old_snapshot', 'tells what other sessions do'],
  ['pg_cron', 'runs statements without a tenant'],
  ['pg_net', 'opens connections from the server'],
  ['http', 'opens connections from the server'],
] as const
