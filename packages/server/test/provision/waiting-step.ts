import { tenantStep } from '../../src/provision/tenant-step.ts'

/** Held by a test to stop a run inside of the step. */
export const STEP_LOCK = 424_242

/** Writes a row, and waits while somebody holds its lock. */
export const waitingStep = tenantStep({
  name: 'welcome',
  check: async (db) => (await db.query(`select from shipment where reference = 'WELCOME'`)).rowCount === 1,
  do: async (db) => {
    await db.query('select pg_advisory_xact_lock($1)', [STEP_LOCK])
    await db.query(`insert into shipment (reference) values ('WELCOME')`)
  },
  undo: async (db) => {
    await db.query(`delete from shipment where reference = 'WELCOME'`)
  },
})
