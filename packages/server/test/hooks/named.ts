import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Secret } from 'rowhouse'

/** BIND's server, as Debian's package `bind9` installs it. */
const NAMED = '/usr/sbin/named'
export const hasNamed = existsSync(NAMED)
export const ZONE = 'example.test'

export interface NamedServer {
  readonly port: number
  /** May update everything in the zone. */
  readonly key: { readonly name: string; readonly secret: Secret<string> }
  /** Is known, and may update names below `narrow.example.test` only. */
  readonly narrowKey: { readonly name: string; readonly secret: Secret<string> }
  stop(): Promise<void>
}

/** Starts a primary server of `example.test` on loopback, with records nobody has marked. */
export async function startNamed(): Promise<NamedServer> {
  const folder = mkdtempSync(join(tmpdir(), 'rowhouse-named-'))
  const port = await freePort()
  const key = { name: 'rowhouse', secret: new Secret(randomBytes(32).toString('base64')) }
  const narrowKey = { name: 'narrow', secret: new Secret(randomBytes(32).toString('base64')) }
  writeFileSync(join(folder, 'zone.db'), ZONE_FILE)
  writeFileSync(join(folder, 'named.conf'), configOf(folder, port, [key, narrowKey]))
  const child = spawn(NAMED, ['-g', '-n', '1', '-c', join(folder, 'named.conf')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  await untilRunning(child)
  return {
    port,
    key,
    narrowKey,
    stop: async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      if (child.exitCode === null && child.kill('SIGTERM')) await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

const ZONE_FILE = `$ORIGIN ${ZONE}.
$TTL 60
@ IN SOA ns1 hostmaster 1 3600 600 86400 60
@ IN NS ns1
ns1 IN A 127.0.0.1
foreign.app IN A 192.0.2.99
same.app IN A 192.0.2.1
text.app IN TXT "somebody's"
other.app IN A 192.0.2.1
_rowhouse.other.app IN TXT "rowhouse-owner=another-tenant"
`

function configOf(folder: string, port: number, keys: readonly { name: string; secret: Secret<string> }[]): string {
  const known = keys.map(({ name, secret }) => `key "${name}" { algorithm hmac-sha256; secret "${secret.reveal()}"; };`)
  return `options {
  directory "${folder}";
  listen-on port ${port} { 127.0.0.1; };
  listen-on-v6 { none; };
  pid-file none;
  lock-file none;
  session-keyfile none;
  recursion no;
  dnssec-validation no;
  notify no;
};
controls { };
${known.join('\n')}
zone "${ZONE}" {
  type primary;
  file "zone.db";
  update-policy { grant rowhouse zonesub ANY; grant narrow subdomain narrow.${ZONE} ANY; };
};
`
}

async function untilRunning(child: ChildProcess): Promise<void> {
  const lines: string[] = []
  if (child.stderr === null) throw new Error('named has no stderr')
  for await (const line of createInterface({ input: child.stderr })) {
    lines.push(line)
    if (/ running$/.test(line)) {
      child.stderr.resume()
      return
    }
  }
  throw new Error(`named did not start:\n${lines.join('\n')}`)
}
