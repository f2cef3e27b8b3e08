import {
  chmodSync,
  chownSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { type EmbeddedPostgres, startPostgres } from 'rowhouse-embedded'
import { withAdminClient } from '../support/admin-client.ts'

/** A server that follows another one by physical streaming replication. */
export interface StreamingReplica {
  /** URL of the superuser, database `postgres`. */
  readonly url: string
  readonly server: EmbeddedPostgres
  /** Runs a query as superuser. */
  query(text: string): Promise<pg.QueryResult>
  /** Stops applying what arrives: from here on the replica lags. Resolves when it has stopped. */
  pauseReplay(): Promise<void>
  /** Resolves when everything the primary had written when it was called is applied. */
  resumeReplay(): Promise<void>
  catchUp(): Promise<void>
  promote(): Promise<void>
  /** Ends the server at once, as a crash would. */
  kill(): void
  stop(): Promise<void>
}

type Major = 15 | 16 | 17 | 18

/** Transient files, which a base backup leaves out. */
const LEFT_OUT = /\/(?:postmaster\.(?:pid|opts)|pgsql_tmp.*|pg_stat_tmp\/.*|pg_replslot\/.*|pg_internal\.init)$/

/**
 * Makes a replica of a running server: a base backup over SQL, since the npm binaries have no pg_basebackup, then
 * streaming.
 */
export async function startReplica(primary: EmbeddedPostgres, major: number): Promise<StreamingReplica> {
  const folder = mkdtempSync(join(tmpdir(), 'rowhouse-replica-'))
  chmodSync(folder, 0o711)
  const data = join(folder, 'pgdata')
  await withAdminClient(primary.url, async (admin) => {
    await admin.query(`select pg_backup_start('replica', fast => true)`)
    copyData(join(primary.dataDir, 'pgdata'), data)
    const { rows } = await admin.query('select labelfile from pg_backup_stop(wait_for_archive => false)')
    writeFileSync(join(data, 'backup_label'), rows[0].labelfile)
  })
  writeFileSync(join(data, 'standby.signal'), '')
  const { username, password } = new URL(primary.url)
  const conninfo = `host=127.0.0.1 port=${primary.port} user=${username} password=${password} application_name=replica`
  writeFileSync(join(data, 'postgresql.auto.conf'), `primary_conninfo = '${conninfo}'\n`)
  giveTo(statSync(join(primary.dataDir, 'pgdata')), data)
  // The superuser's password is in the copied data.
  writeFileSync(join(folder, 'server.json'), readFileSync(join(primary.dataDir, 'server.json')), { mode: 0o600 })
  const server = await startPostgres({
    dataDir: folder,
    major: major as Major,
    settings: {
      hot_standby: 'on',
      wal_receiver_timeout: '5s',
      wal_retrieve_retry_interval: '100ms',
      max_standby_streaming_delay: '1s',
    },
  })
  return describe(primary, server, folder)
}

/** Files may go while they are copied; what matters of them is in the write-ahead log. */
function copyData(from: string, to: string): void {
  for (let attempt = 1; ; attempt++) {
    try {
      cpSync(from, to, { recursive: true, filter: (source) => !LEFT_OUT.test(source) })
      return
    } catch (error) {
      if ((error as { code?: string }).code !== 'ENOENT' || attempt === 10) throw error
      rmSync(to, { recursive: true, force: true })
    }
  }
}

function giveTo(owner: { uid: number; gid: number }, path: string): void {
  chownSync(path, owner.uid, owner.gid)
  if (!statSync(path).isDirectory()) return
  chmodSync(path, 0o700)
  for (const name of readdirSync(path)) giveTo(owner, join(path, name))
}

function describe(primary: EmbeddedPostgres, server: EmbeddedPostgres, folder: string): StreamingReplica {
  const query = (text: string) => withAdminClient(server.url, (admin) => admin.query(text))
  const until = async (text: string) => {
    const client = new pg.Client({ connectionString: server.url })
    await client.connect()
    try {
      while ((await client.query(text)).rows[0].done !== true) await client.query('select pg_sleep(0.01)') // bounded poll: tests have a timeout
    } finally {
      await client.end()
    }
  }
  const catchUp = async () => {
    // A record of its own, flushed at once: what else is inserted may stay unwritten, and unsent, for seconds.
    const { rows } = await withAdminClient(primary.url, async (admin) => {
      await admin.query('set synchronous_commit = local')
      return admin.query(`select pg_logical_emit_message(true, 'catch-up', '')::text as lsn`)
    })
    await until(`select pg_last_wal_replay_lsn() >= '${rows[0].lsn}'::pg_lsn as done`)
  }
  const { pid } = JSON.parse(readFileSync(join(folder, 'server.json'), 'utf8')) as { pid: number }
  return {
    url: server.url,
    server,
    query,
    pauseReplay: async () => {
      await query('select pg_wal_replay_pause()')
      await until(`select pg_get_wal_replay_pause_state() = 'paused' as done`)
    },
    resumeReplay: async () => {
      await query('select pg_wal_replay_resume()')
      await catchUp()
    },
    catchUp,
    promote: async () => {
      await query('select pg_promote(true, 60)')
    },
    kill: () => process.kill(pid, 'SIGKILL'),
    stop: async () => {
      await server.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
