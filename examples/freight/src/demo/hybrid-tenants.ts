import { readConnectionUrl, urlOfDatabase } from 'rowhouse/install'
import { type Model, openControlPlane, type ProvisioningStep, type ServerToAdd } from 'rowhouse-server'
import type { ReportProgress } from '../progress.ts'
import { hasPorts, loadPorts, MIGRATIONS, withClient } from '../schema.ts'
import type { TenantProfile } from '../seed/profiles.ts'

/** Where tenants live that do not share tables on the central server. */
export interface HybridHomes {
  /** The one server besides the central one. */
  readonly second: ServerToAdd
  /** By slug; `server` is `main` or the second one's name. */
  readonly homes: Readonly<Record<string, { readonly model: Model; readonly server: string }>>
}

export interface HybridRequest extends HybridHomes {
  /** Operator's URL of the central database, on which Rowhouse is installed. */
  readonly url: string
  readonly rootKey: string
  readonly profiles: readonly TenantProfile[]
  readonly onProgress: ReportProgress
}

/**
 * Makes the tables on both servers and the tenants that are missing, each where `homes` says: in shared tables, in a
 * schema, in a database. The application and everything after this is the same as without it.
 */
export async function makeHybridTenants(request: HybridRequest): Promise<void> {
  const { url, rootKey, profiles, second, homes, onProgress } = request
  const urlOf = (server: string) => (server === 'main' ? url : readConnectionUrl(second.adminUrl, server))
  const plane = await openControlPlane({ url, rootKey, migrations: MIGRATIONS, steps: [portsStep(urlOf)] })
  try {
    onProgress({ step: 'schema' })
    await plane.servers.equip('main')
    await plane.servers.add(second)
    for (const server of ['main', second.name]) await loadPorts(urlOf(server))
    for (const [done, { slug, name }] of profiles.entries()) {
      const wish = homes[slug] ?? { model: 'pooled', server: 'main' }
      await plane.provision({ slug, name, wish })
      onProgress({ step: 'tenants', done: done + 1, total: profiles.length })
    }
  } finally {
    await plane.close()
  }
}

/** A database of a tenant's own begins with the tables and without the ports: nobody but an operator writes those. */
function portsStep(urlOf: (server: string) => string): ProvisioningStep {
  const urlOfHome = (home: { readonly server: string; readonly database: string | undefined } | undefined) => {
    const shared = urlOf(home?.server ?? 'main')
    return home?.database === undefined ? shared : urlOfDatabase(shared, home.database)
  }
  return {
    name: 'ports',
    check: ({ tenant }) => withClient(urlOfHome(tenant.home), hasPorts),
    do: ({ tenant }) => loadPorts(urlOfHome(tenant.home)),
    // They go with the database; those of shared tables are everybody's.
    undo: async () => {},
  }
}
