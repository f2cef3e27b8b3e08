import { type Context, Hono } from 'hono'
import type { Pool } from 'pg'
import type { Logger } from 'pino'
import type { Rowhouse } from 'rowhouse'
import type { ShowPage } from '../app/pages.tsx'
import { notFound } from '../app/problem.ts'
import type { FreightEnv } from '../app/visitor.ts'
import { type Attempt, judge, refusedBy } from './attempt.ts'
import { AttemptLog } from './attempt-log.ts'
import { FORGETFUL_ATTACKS } from './forgetful-page.ts'
import { LabPage } from './lab-page.tsx'
import type { LabTenant } from './lab-tenant.ts'
import { MAX_PAYLOAD, PAYLOADS, unsafeSearchSql } from './search-attack.ts'
import { StaleConnections } from './stale-connection.ts'
import { openWall, rowhouseWall, settingWall, type Wall } from './walls.ts'
import { NAIVE_DOOR, NAIVE_HEADER, tryWrongDoors } from './wrong-door.ts'

export interface LabConfig {
  readonly rowhouse: Rowhouse
  /** Stock pool of the login that reaches the weak twins, for the controls. */
  readonly stockPool: Pool
  readonly log: Logger
  /** Tenants that take part: each attacks the first other one. At least two. */
  readonly tenants: readonly LabTenant[]
  /** Where this server listens, for attacks by HTTP. */
  readonly port: () => number
}

/**
 * Makes the attack laboratory: routes that are wrong on purpose. For the demonstration only.
 *
 * Attacks on Rowhouse use what every route uses; the same attacks run against weak walls as the control. Everything
 * that writes is rolled back.
 */
export function createLab(config: LabConfig): (show: ShowPage) => Hono<FreightEnv> {
  const { rowhouse, stockPool, port } = config
  const log = new AttemptLog(config.log)
  const tenantId = () => rowhouse.currentTenant().id
  const walls = [rowhouseWall(rowhouse), settingWall(stockPool, tenantId), openWall(stockPool, tenantId)]
  const stale = new StaleConnections({ rowhouse, stockPool, port, tenants: config.tenants })

  return (show) => {
    const lab = new Hono<FreightEnv>()
    const page = (c: Context<FreightEnv>, attempts: readonly Attempt[], typed = PAYLOADS[0]?.text ?? '') => {
      const { slug } = rowhouse.currentTenant()
      log.record(slug, attempts)
      const victim = victimOf(config.tenants, slug)
      return show(
        c,
        'Attack lab',
        <LabPage attempts={attempts} typed={typed} victim={victim} log={log.newest(slug, 15)} />,
      )
    }
    const sides = () => sidesOf(config.tenants, rowhouse.currentTenant().slug)

    lab.get('/', (c) => page(c, []))
    lab.post('/search', async (c) => {
      const { q } = await c.req.parseBody()
      const typed = typeof q === 'string' ? q.slice(0, MAX_PAYLOAD) : ''
      return page(c, await attackSearch(walls, typed, config.tenants, tenantId()), typed)
    })
    lab.post('/forgetful', async (c) => page(c, await attackForgetfully(walls, config.tenants, tenantId())))
    lab.post('/stale', async (c) => {
      const { own, victim } = sides()
      return page(c, await stale.attack(own, victim))
    })
    lab.get('/stale/:ticket', async (c) => {
      const attempt = await stale.use(c.req.param('ticket'))
      return attempt === undefined ? notFound(c) : c.json(attempt)
    })
    lab.get(NAIVE_DOOR.slice('/lab'.length), async (c) => {
      const named = config.tenants.find(({ slug }) => slug === c.req.header(NAIVE_HEADER))
      if (named === undefined) return notFound(c)
      const { rows } = await stockPool.query('select * from lab.open_shipment where tenant_id = $1 limit 5', [named.id])
      return c.json(rows)
    })
    lab.post('/doors', async (c) => {
      const { own, victim } = sides()
      return page(c, await tryWrongDoors(own, victim, port()))
    })
    return lab
  }
}

function attackSearch(walls: readonly Wall[], typed: string, tenants: readonly LabTenant[], tenantId: string) {
  const others = othersOf(tenants, tenantId)
  return Promise.all(
    walls.map((wall) =>
      attempt(wall, 'text spliced into SQL', unsafeSearchSql(wall, typed, tenantId, others[0]?.id ?? tenantId), others),
    ),
  )
}

async function attackForgetfully(walls: readonly Wall[], tenants: readonly LabTenant[], tenantId: string) {
  const others = othersOf(tenants, tenantId)
  const attempts: Attempt[] = []
  for (const { name, sql, successLeaks } of FORGETFUL_ATTACKS) {
    for (const wall of walls) {
      attempts.push(await attempt(wall, name, sql(wall, others[0]?.id ?? tenantId), others, successLeaks))
    }
  }
  return attempts
}

async function attempt(
  wall: Wall,
  attack: string,
  sql: string,
  others: readonly LabTenant[],
  successLeaks = false,
): Promise<Attempt> {
  const tried = { attack, wall: wall.name, isControl: wall.isControl, sent: sql }
  try {
    return judge(tried, await wall.run(sql), others, successLeaks)
  } catch (error) {
    return refusedBy(tried, error)
  }
}

function othersOf(tenants: readonly LabTenant[], tenantId: string): LabTenant[] {
  return tenants.filter(({ id }) => id !== tenantId)
}

function victimOf(tenants: readonly LabTenant[], slug: string): LabTenant | undefined {
  return tenants.find((tenant) => tenant.slug !== slug)
}

/** @throws {RangeError} when the tenant does not take part */
function sidesOf(tenants: readonly LabTenant[], slug: string): { own: LabTenant; victim: LabTenant } {
  const own = tenants.find((tenant) => tenant.slug === slug)
  const victim = victimOf(tenants, slug)
  if (own === undefined || victim === undefined) {
    throw new RangeError(`Cannot attack from "${slug}": wanted one of ${tenants.map((each) => each.slug).join(', ')}`)
  }
  return { own, victim }
}
