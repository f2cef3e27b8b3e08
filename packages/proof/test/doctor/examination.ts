import pg from 'pg'
import type { TestDatabase } from '../../../core/test/support/database.ts'
import { type Examination, examine } from '../../src/doctor/examine.ts'
import type { Rule, ServerFacts } from '../../src/doctor/rule.ts'
import { type SurveyOptions, takeSurvey } from '../../src/doctor/survey.ts'

/** A database under examination, and the operator's connection to it. */
export interface Patient {
  readonly client: pg.Client
  /** Runs `script` and asks the rules in one transaction, which is rolled back. `facts` stand in for the server's own. */
  ask(rules: readonly Rule[], script: string, options?: SurveyOptions, facts?: ServerFacts): Promise<Examination>
  close(): Promise<void>
}

export async function openPatient(database: TestDatabase): Promise<Patient> {
  const client = new pg.Client({ connectionString: database.adminUrl })
  await client.connect()
  const ask: Patient['ask'] = async (rules, script, options = {}, facts = {}) => {
    await client.query('begin')
    try {
      await client.query(script)
      await client.query('reset role')
      return await examine(
        client,
        { ...(await takeSurvey(client, { appRoles: ['rowhouse_app'], ...options })), ...facts },
        rules,
      )
    } finally {
      await client.query('rollback')
    }
  }
  const close = async () => {
    await client.end()
    await database.drop()
  }
  return { client, ask, close }
}
