/** `rowhouse-embedded`: real PostgreSQL from npm, for development, tests and demonstrations. */
export { EmbeddedError, type EmbeddedErrorCode } from './errors.ts'
export type { Major } from './platform.ts'
export { type EmbeddedOptions, type EmbeddedPostgres, startPostgres } from './start-postgres.ts'
