import { fileURLToPath } from 'node:url'
import { createRowhouse, type Logger, type Rowhouse } from 'rowhouse'
import { createTenantAdmin } from 'rowhouse/install'
import { type ControlPlane, openControlPlane, type ServerToAdd } from 'rowhouse-server'
import { createBrokerageApp } from '../app/app.ts'
import { tenantSources } from '../app/tenant-sources.ts'
import { hostRouter } from './host-router.ts'
import { createOwnDomain, type TxtLookup } from './own-domain.ts'
import { BROKERAGE_PLACEMENT } from './placement.ts'
import { createPlatformApp, type InvitationLetter } from './platform-app.tsx'
import { type BillingHook, billing, clientHost, defaultSettings, firstAdministrator } from './steps.ts'

export interface BrokerageOptions {
  /** Operator's URL of the central database, on which Rowhouse is installed. */
  readonly adminUrl: string
  /** The application's, `rowhouse_app`. */
  readonly appUrl: string
  readonly rootKey: string
  /** Signs sessions, invitations and proofs of domains; at least 32 bytes. */
  readonly secretKey: Buffer
  /** Further servers; there may be none. */
  readonly servers?: readonly ServerToAdd[]
  /** Brokers are at `<slug>.<base>`, e.g. `localhost`. */
  readonly base: string
  /** Brokers' clients see them at `<slug>.<clientBase>`. */
  readonly clientBase: string
  /** Where billing is told of a new broker. @defaultValue nobody is told */
  readonly billing?: BillingHook
  readonly urlOf: (host: string) => string
  readonly sendInvitation: (letter: InvitationLetter) => Promise<void>
  readonly lookupTxt?: TxtLookup
  readonly log: Logger
}

export interface Brokerage {
  readonly plane: ControlPlane
  readonly rowhouse: Rowhouse
  /** Answers requests to the platform and to every broker. */
  readonly fetch: (request: Request, env?: object) => Response | Promise<Response>
  close(): Promise<void>
}

const MIGRATIONS = fileURLToPath(new URL('../../migrations', import.meta.url))

/**
 * Wires the platform: control plane with this platform's rules and steps, the one application for all brokers, and the
 * pages for signing up. This function is the diagram of it.
 */
export async function openBrokerage(options: BrokerageOptions): Promise<Brokerage> {
  const { adminUrl, appUrl, rootKey, secretKey, base, clientBase, log } = options
  const tenants = createTenantAdmin({ url: adminUrl, rootKey })
  const closers: (() => Promise<unknown>)[] = [() => tenants.close()]
  const close = async () => {
    while (closers.length > 0) await closers.pop()?.()
  }
  try {
    const plane = await openControlPlane({
      url: adminUrl,
      rootKey,
      migrations: MIGRATIONS,
      rules: BROKERAGE_PLACEMENT,
      steps: [
        defaultSettings,
        firstAdministrator,
        clientHost(tenants, clientBase),
        ...(options.billing === undefined ? [] : [billing(options.billing)]),
      ],
      log,
    })
    closers.push(() => plane.close())
    await plane.servers.equip('main')
    for (const server of options.servers ?? []) await plane.servers.add(server)

    const sources = tenantSources(base)
    const rowhouse = await createRowhouse({ url: appUrl, rootKey, sources, log, applicationName: 'brokerage' })
    closers.push(() => rowhouse.close())

    const { lookupTxt, urlOf, sendInvitation } = options
    const ownDomain = createOwnDomain({ tenants, key: secretKey, platformDomains: [base, clientBase], lookupTxt })
    const application = createBrokerageApp({ rowhouse, secretKey, ownDomain, log })
    const platform = createPlatformApp({ plane, rowhouse, secretKey, base, urlOf, sendInvitation, log })
    const fetch = hostRouter({ base, platform: platform.fetch, application: application.fetch })
    return { plane, rowhouse, fetch, close }
  } catch (error) {
    // What failed is the news; a failure to clean up after it would hide it.
    await close().catch(() => {})
    throw error
  }
}
