/**
 * Starts the PostgreSQL server a test project runs against and prepares the database its tests are cloned from.
 *
 * One server per project (that is: per major), one installed template per server, one clone per test file.
 * What the tests need to know travels by `provide`, never by files.
 */

import { randomBytes } from 'node:crypto'
import { install } from 'rowhouse/install'
import { type EmbeddedPostgres, startPostgres } from 'rowhouse-embedded'
import type { TestProject } from 'vitest/node'
import { urlOf, withAdminClient } from './admin-client.ts'

/** Where a test project's server is and what its databases are made from. */
export interface TestServer {
  /** URL of a superuser, of the maintenance database. */
  readonly adminUrl: string
  /** Database on which Rowhouse is installed and nothing else; nobody may be connected to it. */
  readonly template: string
  readonly appPassword: string
  /** Root key Rowhouse was installed with, 32 random bytes in base64; it holds for every clone of the template. */
  readonly rootKey: string
  /** Major version the server reported, e.g. 18. */
  readonly major: number
}

declare module 'vitest' {
  export interface ProvidedContext {
    testServer: TestServer
  }
}

/** Durability is not under test here, and a test server may lose everything: this makes databases cheap. */
const settings = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off', max_connections: '300' }

type Major = 15 | 16 | 17 | 18

/** Called by vitest once per project, before its first test file; returns what vitest calls at the end. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startServer(project)
  try {
    const template = await makeTemplate(server.url)
    project.provide('testServer', { adminUrl: server.url, ...template })
    return async () => {
      await dropTemplate(server.url, template.template)
      await server.stop()
    }
  } catch (error) {
    await server.stop()
    throw error
  }
}

async function startServer(project: TestProject): Promise<Pick<EmbeddedPostgres, 'url' | 'stop'>> {
  const given = process.env.ROWHOUSE_TEST_DATABASE_URL
  if (given) return { url: given, stop: async () => {} }
  return startPostgres({ major: requireMajor(project.config.env.ROWHOUSE_TEST_PG), settings })
}

function requireMajor(value: unknown): Major {
  const major = Number(value)
  if (major === 15 || major === 16 || major === 17 || major === 18) return major
  throw new RangeError(`Cannot start a test server: ROWHOUSE_TEST_PG is "${value}"; wanted 15, 16, 17 or 18`)
}

async function makeTemplate(adminUrl: string): Promise<Omit<TestServer, 'adminUrl'>> {
  const template = `rowhouse_template_${randomBytes(4).toString('hex')}`
  const appPassword = randomBytes(18).toString('base64url')
  const rootKey = randomBytes(32).toString('base64')
  const major = await withAdminClient(adminUrl, async (client) => {
    await client.query(`create database ${template}`)
    const { rows } = await client.query<{ major: number }>(
      `select current_setting('server_version_num')::int / 10000 as major`,
    )
    return rows[0]?.major ?? 0
  })
  await install({ url: urlOf(adminUrl, template), rootKey, appPassword })
  return { template, appPassword, rootKey, major }
}

async function dropTemplate(adminUrl: string, template: string): Promise<void> {
  await withAdminClient(adminUrl, (client) => client.query(`drop database if exists ${template} with (force)`))
}
