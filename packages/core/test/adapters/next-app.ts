import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * A real Next.js application: built, then served by `next start`, so that bundling, proxy and route run as they will.
 *
 * It is written below `dist`, which nothing else reads, and imports the sources of this package by their paths.
 */
const FILES: Readonly<Record<string, string>> = {
  'package.json': '{ "private": true, "type": "module" }',
  'next.config.mjs': `export default {
    typescript: { ignoreBuildErrors: true },
    turbopack: { root: new URL('../../../../', import.meta.url).pathname },
  }`,
  'gate.ts': `import { fromApiKey } from '../../src/resolve/api-key.ts'
    import { fromSubdomain } from '../../src/resolve/from-host.ts'
    import { fromTrustedHeader } from '../../src/resolve/from-trusted-header.ts'
    import { createMemoryGate } from '../../test/adapters/memory-gate.ts'
    export const gate = createMemoryGate([
      fromSubdomain({ base: 'example.com' }),
      fromApiKey(),
      fromTrustedHeader({ header: 'x-tenant', proxies: ['127.0.0.1'] }),
    ])`,
  'proxy.ts': `import { tenantProxy } from '../../src/adapters/next.ts'
    import { gate } from './gate.ts'
    export const proxy = tenantProxy(gate)
    export const config = { matcher: ['/guarded/:path*', '/plain/:path*'] }`,
  'app/whoami/route.ts': `import { withTenantRoute } from '../../../../src/adapters/next.ts'
    import { createRoutes } from '../../../../test/adapters/routes.ts'
    import { gate } from '../../gate.ts'
    const routes = createRoutes()
    export const GET = withTenantRoute(gate, async () => Response.json(await routes.whoami()))
    export const POST = withTenantRoute(gate, async (request) => Response.json(await routes.echo(await request.json())))`,
  'app/throws/route.ts': `import { withTenantRoute } from '../../../../src/adapters/next.ts'
    import { createRoutes } from '../../../../test/adapters/routes.ts'
    import { gate } from '../../gate.ts'
    export const GET = withTenantRoute(gate, () => createRoutes().throws())`,
  'app/plain/route.ts': `import { runningTenant } from '../../../../test/adapters/memory-gate.ts'
    export const GET = async (request) => Response.json({
      tenant: runningTenant() ?? null,
      own: [...request.headers.keys()].filter((name) => name.startsWith('x-rowhouse-')),
      other: request.headers.get('x-other'),
    })`,
}

export interface NextApp {
  readonly port: number
  close(): Promise<void>
}

const next = createRequire(import.meta.url).resolve('next/dist/bin/next')

/** Builds and starts the application; throws with what Next.js printed when it does not come up. */
export async function startNextApp(): Promise<NextApp> {
  const dist = fileURLToPath(new URL('../../dist', import.meta.url))
  await mkdir(dist, { recursive: true })
  const folder = await mkdtemp(join(dist, 'next-test-'))
  try {
    for (const [path, text] of Object.entries(FILES)) {
      await mkdir(dirname(join(folder, path)), { recursive: true })
      await writeFile(join(folder, path), text)
    }
    await build(folder)
    const { server, port } = await serve(folder)
    const close = async () => {
      if (server.exitCode === null) {
        const ended = once(server, 'exit')
        server.kill('SIGKILL')
        await ended
      }
      await rm(folder, { recursive: true, force: true })
    }
    return { port, close }
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

async function build(folder: string): Promise<void> {
  const { child, printed } = run(folder, 'build')
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`next build ended with ${code}:\n${printed()}`)
}

async function serve(folder: string): Promise<{ server: ChildProcess; port: number }> {
  const { child, printed } = run(folder, 'start', '--port', '0', '--hostname', '127.0.0.1')
  for await (const _ of child.stdout ?? []) {
    const port = /http:\/\/127\.0\.0\.1:(\d+)/.exec(printed())?.[1]
    if (port !== undefined && printed().includes('Ready')) return { server: child, port: Number(port) }
  }
  throw new Error(`next start ended:\n${printed()}`)
}

function run(cwd: string, ...args: string[]) {
  const env = { PATH: process.env.PATH, HOME: cwd, NODE_ENV: 'production' as const, NEXT_TELEMETRY_DISABLED: '1' }
  const child = spawn(process.execPath, [next, ...args], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part: string) => {
      text += part
    })
  }
  return { child, printed: () => text }
}
