import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify, stripVTControlCharacters } from 'node:util'
import pg from 'pg'
import { run } from 'rowhouse-cli'
import { type EmbeddedPostgres, startPostgres } from 'rowhouse-embedded'
import { createTestDatabase, type TestDatabase } from '../../../core/test/support/database.ts'

/** Where somebody works with the command line: a folder with migrations and a configuration, and a central database. */
export interface Workplace {
  readonly central: TestDatabase
  /** Superuser of the central database. */
  readonly admin: pg.Client
  readonly folder: string
  readonly env: Readonly<Record<string, string>>
  /** Runs the command and returns what it said. */
  rowhouse(...argv: string[]): Promise<Said>
  /** The command as a person runs it; returns what the terminal got, and its text without colours, a line for each. */
  onTerminal(columns: number, ...argv: string[]): Promise<{ readonly bytes: string; readonly text: string }>
  close(): Promise<void>
}

export interface Said {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** Reads what was said as lines of JSON. */
  lines(): ReturnType<typeof JSON.parse>[]
}

/** References of the registry to the second server, of PostgreSQL 15. Read from the process, as in production. */
export const SECOND_SERVER = ['--app-url', 'env:CLI_SECOND_APP_URL', '--admin-url', 'env:CLI_SECOND_ADMIN_URL']

/**
 * @param schema  the first migration
 * @param config  text of `rowhouse.config.mjs`
 */
export async function openWorkplace(
  schema: string,
  config = `export default { migrations: 'migrations' }`,
  more: Readonly<Record<string, string>> = {},
): Promise<Workplace> {
  const central = await createTestDatabase()
  const folder = mkdtempSync(join(tmpdir(), 'rowhouse-cli-'))
  mkdirSync(join(folder, 'migrations'))
  writeFileSync(join(folder, 'migrations', '0001-init.sql'), schema)
  writeFileSync(join(folder, 'rowhouse.config.mjs'), config)
  const access = {
    ROWHOUSE_ADMIN_URL: central.adminUrl,
    DATABASE_URL: central.appUrl,
    ROWHOUSE_ROOT_KEY: central.rootKey,
  }
  const env = { ...access, ...more }
  const admin = new pg.Client({ connectionString: central.adminUrl })
  await admin.connect()
  return {
    central,
    admin,
    folder,
    env,
    rowhouse: async (...argv) => {
      let stdout = ''
      let stderr = ''
      const io = {
        stdout: { write: (text: string) => (stdout += text) },
        stderr: { write: (text: string) => (stderr += text) },
      }
      const code = await run(argv, { ...io, env, cwd: folder })
      return { code, stdout, stderr, lines: () => linesOf(stdout) }
    },
    onTerminal: async (columns, ...argv) => {
      const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
      const tsx = fileURLToPath(import.meta.resolve('tsx'))
      const line = `stty cols ${columns}; ${process.execPath} --conditions=source --import ${tsx} ${main} ${argv.join(' ')}`
      const { stdout } = await promisify(execFile)('script', ['-qec', line, '/dev/null'], {
        cwd: folder,
        env: { ...process.env, ...env, TERM: 'xterm' },
      })
      return { bytes: stdout, text: stripVTControlCharacters(stdout.replaceAll('\r', '\n')) }
    },
    close: async () => {
      const own = `select database_name as name from rowhouse.placement where server = 'main' and database_name is not null`
      for (const { name } of (await admin.query(own)).rows)
        await admin.query(`drop database if exists ${name} with (force)`)
      await admin.end()
      await central.drop()
      rmSync(folder, { recursive: true })
    },
  }
}

/** Starts a second server, which `SECOND_SERVER` names. */
export async function startSecondServer({ central }: Pick<Workplace, 'central'>): Promise<EmbeddedPostgres> {
  const settings = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' }
  const server = await startPostgres({ major: 15, settings })
  const appUrl = Object.assign(new URL(server.url), { username: 'rowhouse_app', password: central.appPassword })
  process.env.CLI_SECOND_ADMIN_URL = server.url
  process.env.CLI_SECOND_APP_URL = appUrl.href
  return server
}

function linesOf(text: string): ReturnType<typeof JSON.parse>[] {
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}
