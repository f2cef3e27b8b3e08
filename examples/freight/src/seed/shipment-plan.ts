/** One shipment as the seed imagines it: what is sent, where it is by now, and when it moves. */

import { type CompanyBase, PARTNER_PORTS, type SeededBranch } from './company-base.ts'
import type { Random } from './random.ts'

export type Mode = 'sea' | 'air' | 'road'
export type ShipmentStatus = 'booked' | 'in_transit' | 'customs' | 'delivered' | 'cancelled'

export interface ShipmentPlan {
  readonly id: string
  readonly branch: SeededBranch
  readonly customerId: string
  readonly mode: Mode
  readonly status: ShipmentStatus
  readonly origin: string
  readonly destination: string
  readonly goods: string
  readonly packages: number
  readonly weightKg: number
  /** Price of the freight without VAT, in the tenant's currency. */
  readonly freight: number
  readonly createdMs: number
  readonly departMs: number
  readonly arriveMs: number
}

export const DAY_MS = 86_400_000

const GOODS = [
  'Cotton yarn',
  'Circuit boards',
  'Olive oil',
  'Ceramic tiles',
  'Spare parts',
  'Medical devices',
  'Office chairs',
  'Frozen fish',
  'Solar panels',
  'Perfume',
  'Steel pipes',
  'Tea',
  'Footwear',
  'Paint',
  'Laptops',
  'Bicycles',
]

const MODES = [
  ['sea', 6],
  ['air', 3],
  ['road', 1],
] as const satisfies readonly (readonly [Mode, number])[]

/** Price of a kilogram and usual size, by mode. */
const TRAITS: Readonly<
  Record<Mode, { perKg: number; weightKg: readonly [number, number]; transitDays: readonly [number, number] }>
> = {
  sea: { perKg: 0.24, weightKg: [1_800, 24_000], transitDays: [8, 24] },
  air: { perKg: 3.1, weightKg: [40, 2_400], transitDays: [1, 4] },
  road: { perKg: 0.4, weightKg: [300, 9_000], transitDays: [2, 6] },
}

/** The largest branch comes first and has about half of the trade. */
const BRANCH_WEIGHTS = [5, 3, 2]

export function planShipment(base: CompanyBase, createdMs: number, asOfMs: number, random: Random): ShipmentPlan {
  const branch = random.pickWeighted(base.branches.map((each, index) => [each, BRANCH_WEIGHTS[index] ?? 1] as const))
  const mode = random.pickWeighted(MODES)
  const traits = TRAITS[mode]
  const weightKg = random.between(...traits.weightKg)
  const ageMs = Math.max(0, asOfMs - createdMs)
  const status = statusAtAge(ageMs / DAY_MS, random)
  const partner = random.pick(PARTNER_PORTS.filter((port) => port !== branch.port))
  const [origin, destination] = random.chance(0.55) ? [branch.port, partner] : [partner, branch.port]
  return {
    id: random.uuid(createdMs),
    branch,
    customerId: random.pick(base.customers).id,
    mode,
    status,
    origin,
    destination,
    goods: random.pick(GOODS),
    packages: random.between(1, 60),
    weightKg,
    freight: Math.round(weightKg * traits.perKg * (80 + random.between(0, 60))) / 100 + 120,
    createdMs,
    ...schedule(status, createdMs, asOfMs, random.between(...traits.transitDays) * DAY_MS, random),
  }
}

function statusAtAge(days: number, random: Random): ShipmentStatus {
  if (days < 6)
    return random.pickWeighted([
      ['booked', 6],
      ['in_transit', 4],
    ] as const)
  if (days < 25)
    return random.pickWeighted([
      ['in_transit', 12],
      ['customs', 3],
      ['delivered', 5],
    ] as const)
  if (days < 40)
    return random.pickWeighted([
      ['in_transit', 10],
      ['customs', 5],
      ['delivered', 83],
      ['cancelled', 2],
    ] as const)
  return random.pickWeighted([
    ['delivered', 97],
    ['cancelled', 3],
  ] as const)
}

/** Times that agree with the status: what has happened lies before `asOfMs`, what has not lies after it. */
function schedule(
  status: ShipmentStatus,
  createdMs: number,
  asOfMs: number,
  transitMs: number,
  random: Random,
): Pick<ShipmentPlan, 'departMs' | 'arriveMs'> {
  const ageMs = Math.max(0, asOfMs - createdMs)
  const early = createdMs + Math.min(ageMs * 0.2, 2 * DAY_MS)
  switch (status) {
    case 'booked': {
      const departMs = asOfMs + random.between(1, 6) * DAY_MS
      return { departMs, arriveMs: departMs + transitMs }
    }
    case 'in_transit':
      return { departMs: early, arriveMs: asOfMs + random.between(1, 12) * DAY_MS }
    case 'customs':
      return { departMs: early, arriveMs: createdMs + ageMs * 0.85 }
    case 'delivered':
      return { departMs: early, arriveMs: early + Math.min(transitMs, ageMs * 0.6) }
    case 'cancelled':
      return { departMs: early + DAY_MS, arriveMs: early + DAY_MS + transitMs }
  }
}
