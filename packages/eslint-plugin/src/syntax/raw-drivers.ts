/** Packages that connect to PostgreSQL on their own, and so without a tenant. */
export const RAW_DRIVERS: ReadonlySet<string> = new Set([
  '@databases/pg',
  '@neondatabase/serverless',
  '@vercel/postgres',
  'pg',
  'pg-native',
  'pg-pool',
  'pg-promise',
  'postgres',
  'slonik',
  'ts-postgres',
])

/** Exports of `pg` and `@neondatabase/serverless` that open no connection. */
export const HARMLESS_EXPORTS: ReadonlySet<string> = new Set([
  'DatabaseError',
  'TypeOverrides',
  'escapeIdentifier',
  'escapeLiteral',
  'types',
])
