/**
 * `rowhouse/install`: what an operator does to a database. Needs an operator's login; never imported by code that
 * serves requests.
 */
export { type InstallOptions, type InstallReport, install } from './migrate/install.ts'
