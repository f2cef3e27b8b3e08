import { ConfigError, type Logger } from 'rowhouse'
import { createTenantAdmin, parseRootKey, type RegisteredTenant, type TenantAdmin } from 'rowhouse/install'
import { equipSharedHome } from './fleet/equip-shared-home.ts'
import { registerHome } from './fleet/homes.ts'
import type { Migration } from './fleet/migration.ts'
import { readMigrations } from './fleet/migration-folder.ts'
import type { SealedCertificate } from './lifecycle/certificate.ts'
import { eraseTenant } from './lifecycle/erase.ts'
import type { EraseRequest } from './lifecycle/erase-request.ts'
import { createLifecycle, type Lifecycle } from './lifecycle/lifecycle.ts'
import {
  type Exits,
  type ExportTenant,
  type Offboarded,
  type OffboardRequest,
  offboardTenant,
  setExits,
} from './lifecycle/offboard.ts'
import { createMoves, type Moves, setMover } from './move/moves.ts'
import { compilePlacementRules } from './placing/compile-rules.ts'
import type { Model, PlacementRules } from './placing/placement-rules.ts'
import { openJournal } from './provision/journal.ts'
import type { Provisioning, StepEvent } from './provision/provisioning.ts'
import type { ProvisioningRequest } from './provision/provisioning-request.ts'
import { type ProvisioningStep, requireStepName } from './provision/step.ts'
import { ensureTemplate } from './provision/template-database.ts'
import type { TenantStep } from './provision/tenant-step.ts'
import { fillStandby, provisionTenant, setProvisioning } from './provision/tenants.ts'
import { findOrphans, type Orphan, removeOrphans } from './registry/find-orphans.ts'
import { assertCentral } from './registry/open-registry.ts'
import { CENTRAL, OperatorConnections } from './registry/operator-connections.ts'
import { addServer, listServers, type RegisteredServer, type ServerToAdd, setServerState } from './registry/servers.ts'

export interface ControlPlaneOptions {
  /** The operator's URL of the central database. From env or a file, never a flag. */
  readonly url: string | undefined
  /** The root key all databases are installed with. From env or a file. */
  readonly rootKey: string | undefined
  /** Folder of the application's migrations, e.g. `prisma/migrations`. @defaultValue none: tenants start with no tables of their own */
  readonly migrations?: string
  /** Where new tenants go. @defaultValue pooled, on the server with the least load */
  readonly rules?: PlacementRules
  /** The platform's own steps of provisioning, in order. */
  readonly steps?: readonly (ProvisioningStep | TenantStep)[]
  /** Exports a tenant that leaves; told where it lives, returns where its data are. @defaultValue none: tenants leave without an export */
  readonly exportTenant?: ExportTenant
  /** A logger with pino's shape. @defaultValue none */
  readonly log?: Logger
  /** How long the cut of a move waits for the tenant's transactions before it ends them, in milliseconds. @defaultValue 5_000 */
  readonly cancelAfterMs?: number
  /**
   * How long the cut of a move may shut a tenant out once nothing of it runs, in milliseconds: a server that does not
   * answer by then ends the move. Less than requests wait. @defaultValue 4_000
   */
  readonly fenceTimeoutMs?: number
  /** Told of every step of provisioning this process takes, also of runs it continues for a dead one. */
  readonly onStep?: (event: StepEvent) => void
}

/** A tenant that was made, and why it lives where it does. */
export interface ProvisionedTenant extends RegisteredTenant {
  /** The rule and the server's load, for people. */
  readonly why: string
}

/** Servers, tenants and where they live, for operators. */
export interface ControlPlane {
  readonly servers: {
    /** Adds a server, or changes capacity and references of one. See `addServer` for what it refuses. */
    add(server: ServerToAdd): Promise<RegisteredServer>
    list(): Promise<RegisteredServer[]>
    /** Gives the shared database of a server its tables, when no migration ever ran there: that of `main`, which is never added. */
    equip(name: string): Promise<boolean>
    /** Lets no new tenant onto a server; those on it stay. */
    drain(name: string): Promise<RegisteredServer>
    activate(name: string): Promise<RegisteredServer>
  }
  /** Suspend, resume, keys, domains: as in `rowhouse/install`, wherever the tenant lives. */
  readonly tenants: TenantAdmin
  /**
   * Makes a tenant where the rules say, runs the platform's steps, and opens it. The same idempotency key twice, also
   * at the same time and from two processes, makes one tenant. A step that fails for good undoes those before it.
   *
   * @throws {TenantError} `ERR_TENANT_SLUG_INVALID`, `ERR_TENANT_SLUG_TAKEN`, `ERR_IDEMPOTENCY_KEY_REUSED`,
   *   `ERR_PROVISIONING_FAILED`
   * @throws {PlacementError} `ERR_PLACEMENT_IMPOSSIBLE`, `ERR_PLACEMENT_RULE_FAILED`
   * @throws whatever class the failed step's error has, with the step in its message
   */
  provision(request: ProvisioningRequest): Promise<ProvisionedTenant>
  /** Suspend with a cause, plans, legal holds; and leaving, which runs as journalled work. */
  readonly lifecycle: Lifecycle & {
    /** See `offboardTenant`: suspends for good, exports, starts the clock. */
    offboard(tenant: string, request: OffboardRequest): Promise<Offboarded>
    /** See `eraseTenant`: returns the certificate. */
    erase(tenant: string, request: EraseRequest): Promise<SealedCertificate>
  }
  /** Moves tenants between placements while they work. */
  readonly moves: Moves
  readonly standby: {
    /** Makes so many more tenants in advance. Returns how many were made. */
    fill(wanted: { readonly model: Model; readonly server: string; readonly count: number }): Promise<number>
    /** Builds what tenants of the database model are copied from, so that the first sign-up does not wait for it. */
    prepare(server: string): Promise<void>
  }
  /** Compares registry and servers; empty when everything made for a tenant belongs to one. */
  findOrphans(): Promise<Orphan[]>
  /**
   * Removes what moves left behind and nobody needs, and returns it. What holds rows of tenants stays, for people to look at.
   *
   * @throws {UnavailableError} `ERR_TIMEOUT` when a transaction that does not end is in the way, `ERR_DATABASE_UNAVAILABLE`
   */
  removeOrphans(): Promise<Orphan[]>
  /** Waits for what runs, then closes all connections; safe to call twice. What was begun goes on in the next process. */
  close(): Promise<void>
}

const CANCEL_AFTER_MS = 5_000
const FENCE_TIMEOUT_MS = 4_000

const SHARED = { database: undefined, schema: undefined }

/** Everybody shares tables on the least loaded server, until somebody says otherwise. */
const DEFAULT_RULES: PlacementRules = { rules: [], default: { model: 'pooled' } }

const RESERVED_STEPS: ReadonlySet<string> = new Set(['register', 'namespace', 'key', 'tables', 'open', 'unregister'])

/**
 * Opens the control plane: the registry in the central database, and the journal, whose unfinished runs go on at once.
 * One per process.
 *
 * @throws {ConfigError} `ERR_ADMIN_REQUIRED`, `ERR_CONFIG_INVALID` for a wrong URL, root key, rule or step, `ERR_NOT_INSTALLED`
 * @throws {MigrationError} `ERR_MIGRATION_INVALID` for a folder of migrations a fleet cannot run
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE`
 * @example
 * ```ts
 * import { openControlPlane } from 'rowhouse-server'
 * const plane = await openControlPlane({
 *   url: process.env.ROWHOUSE_ADMIN_URL,
 *   rootKey: process.env.ROWHOUSE_ROOT_KEY,
 *   rules: { rules: [{ name: 'own database', when: 'tenant.plan == "enterprise"', model: 'database' }], default: { model: 'pooled' } },
 * })
 * const acme = await plane.provision({ slug: 'acme-trading', plan: 'enterprise' })
 * console.assert(acme.placement.model === 'database')
 * await plane.close()
 * ```
 */
export async function openControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { steps = [], log = SILENT } = options
  assertSteps(steps)
  const rules = compilePlacementRules(options.rules ?? DEFAULT_RULES)
  const rootKey = parseRootKey(options.rootKey)
  const migrations: readonly Migration[] =
    options.migrations === undefined ? [] : await readMigrations(options.migrations)
  await assertCentral(options)
  const tenants = createTenantAdmin({ url: options.url, rootKey: options.rootKey })
  const url = options.url as string
  const connections = new OperatorConnections(url)
  const rootKeyText = options.rootKey as string
  const { onStep } = options
  const provisioning: Provisioning = { connections, rootKey, rootKeyText, migrations, rules, steps, log, onStep }
  setProvisioning(provisioning)
  const { cancelAfterMs = CANCEL_AFTER_MS, fenceTimeoutMs = FENCE_TIMEOUT_MS } = options
  const mover = { ...provisioning, cancelAfterMs, fenceTimeoutMs }
  setMover(mover)
  const outside = steps.filter((step) => !('kind' in step))
  const exits: Exits = { connections, rootKey, log, exportTenant: options.exportTenant, steps: outside, onStep }
  setExits(exits)
  const journal = await openJournal(url, log).catch(async (error) => {
    setProvisioning(undefined)
    setMover(undefined)
    setExits(undefined)
    await Promise.all([connections.close(), tenants.close()])
    throw error
  })
  let closing: Promise<void> | undefined
  const close = async () => {
    await journal.close()
    setProvisioning(undefined)
    setMover(undefined)
    setExits(undefined)
    await Promise.all([connections.close(), tenants.close()])
  }
  const requireTenant = async (id: string) => (await tenants.find(id)) as RegisteredTenant
  return {
    servers: {
      add: async (server) => {
        const added = await addServer(connections, options.rootKey, server)
        const isNew = await equipSharedHome(connections, migrations, added.name)
        // In use already: the next run of the fleet looks what ran there.
        if (!isNew)
          await connections.transact(CENTRAL, (client) => registerHome(client, { ...SHARED, server: added.name }))
        return added
      },
      list: () => listServers(connections.central),
      equip: (name) => equipSharedHome(connections, migrations, name),
      drain: (name) => setServerState(connections, name, 'draining'),
      activate: (name) => setServerState(connections, name, 'active'),
    },
    tenants,
    provision: async (request) => {
      const { tenantId, why } = await provisionTenant(journal, request)
      return { ...(await requireTenant(tenantId)), why }
    },
    lifecycle: {
      ...createLifecycle(connections, rootKey),
      offboard: (tenant, request) => offboardTenant(journal, exits, tenant, request),
      erase: (tenant, request) => eraseTenant(journal, exits, tenant, request),
    },
    moves: createMoves(journal, mover, tenants),
    standby: {
      fill: (wanted) => fillStandby(journal, wanted),
      prepare: async (server) => {
        await ensureTemplate(connections, rootKeyText, server, migrations)
      },
    },
    findOrphans: () => findOrphans(connections),
    removeOrphans: () => removeOrphans(connections),
    close: () => (closing ??= close()),
  }
}

const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} }

function assertSteps(steps: readonly { readonly name: string }[]): void {
  const seen = new Set(RESERVED_STEPS)
  for (const { name } of steps) {
    requireStepName(name)
    if (seen.has(name)) {
      throw new ConfigError(
        'ERR_CONFIG_INVALID',
        `Cannot use step "${name}": the name is taken by another step; each step has its own in the journal`,
      )
    }
    seen.add(name)
  }
}
