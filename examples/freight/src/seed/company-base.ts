/** What a company has before its first shipment: settings, branches, people, customers, rates. */

import type { Transaction } from 'rowhouse'
import type { TenantProfile } from './profiles.ts'
import type { Random } from './random.ts'
import { RowBatch } from './row-batch.ts'

export interface SeededBranch {
  readonly id: string
  readonly code: string
  readonly name: string
  readonly port: string
}

/** The ids and ports that shipments refer to. The same seed gives the same base, so that an interrupted seed goes on. */
export interface CompanyBase {
  readonly branches: readonly SeededBranch[]
  readonly customers: readonly {
    readonly id: string
    readonly code: string
    readonly name: string
    readonly country: string
  }[]
  readonly users: readonly {
    readonly id: string
    readonly branchId: string | null
    readonly role: string
    readonly name: string
  }[]
}

const CUSTOMER_FIRST = [
  'Saffron',
  'Northlight',
  'Redwood',
  'Coral',
  'Silverline',
  'Oasis',
  'Bluestone',
  'Marigold',
  'Falcon',
  'Evergreen',
  'Sunrise',
  'Crescent',
  'Highland',
  'Lotus',
  'Copper',
  'Willow',
  'Summit',
  'Pearl',
  'Maple',
  'Orchid',
]
const CUSTOMER_TRADES = [
  'Textiles',
  'Pharma',
  'Electronics',
  'Foods',
  'Furniture',
  'Machinery',
  'Cosmetics',
  'Ceramics',
  'Tools',
  'Optics',
  'Paper',
  'Sports',
  'Lighting',
  'Auto Parts',
  'Chemicals',
  'Toys',
  'Packaging',
  'Medical',
  'Spices',
  'Steel',
]
const COUNTRIES = [
  'United Arab Emirates',
  'India',
  'Netherlands',
  'Germany',
  'Singapore',
  'Saudi Arabia',
  'United Kingdom',
  'Kenya',
  'Japan',
  'South Africa',
]
const GIVEN_NAMES = [
  'Amira',
  'Bilal',
  'Chen',
  'Dana',
  'Elif',
  'Farid',
  'Grace',
  'Hana',
  'Idris',
  'Jonas',
  'Kavya',
  'Lina',
  'Marek',
  'Noor',
  'Omar',
  'Priya',
  'Rosa',
  'Sami',
  'Tara',
  'Yusuf',
]
const FAMILY_NAMES = [
  'Adler',
  'Baker',
  'Costa',
  'Darwish',
  'Eriksen',
  'Fernando',
  'Gupta',
  'Haddad',
  'Iyer',
  'Jansen',
  'Khalil',
  'Lim',
  'Mensah',
  'Novak',
  'Okafor',
  'Peters',
  'Rahman',
  'Silva',
  'Tanaka',
  'Weber',
]

const MIN_CUSTOMERS = 12
const MAX_CUSTOMERS = 400
const SHIPMENTS_PER_CUSTOMER = 40

/** Makes the base of a company without writing it. */
export function makeCompanyBase(profile: TenantProfile, shipments: number, atMs: number, random: Random): CompanyBase {
  const branches = profile.branches.map((branch) => ({ id: random.uuid(atMs), ...branch }))
  const wanted = Math.min(MAX_CUSTOMERS, Math.max(MIN_CUSTOMERS, Math.floor(shipments / SHIPMENTS_PER_CUSTOMER)))
  const offset = random.between(0, CUSTOMER_FIRST.length * CUSTOMER_TRADES.length - 1)
  const customers = Array.from({ length: wanted }, (_, index) => ({
    id: random.uuid(atMs),
    code: `C${String(index + 1).padStart(4, '0')}`,
    name: customerName(offset + index),
    country: random.pick(COUNTRIES),
  }))
  const staff = [
    { branchId: null, role: 'director' },
    ...branches.flatMap(({ id }) => ['manager', 'clerk', 'clerk'].map((role) => ({ branchId: id, role }))),
  ]
  const users = staff.map((post) => ({ id: random.uuid(atMs), ...post, name: personName(random) }))
  return { branches, customers, users }
}

/** Walks all 400 pairs before one comes again: the step has no common divisor with 400. */
function customerName(index: number): string {
  const pair = (index * 127) % (CUSTOMER_FIRST.length * CUSTOMER_TRADES.length)
  return `${CUSTOMER_FIRST[pair % CUSTOMER_FIRST.length]} ${CUSTOMER_TRADES[Math.floor(pair / CUSTOMER_FIRST.length)]}`
}

function personName(random: Random): string {
  return `${random.pick(GIVEN_NAMES)} ${random.pick(FAMILY_NAMES)}`
}

export async function insertCompanyBase(
  tx: Transaction,
  profile: TenantProfile,
  base: CompanyBase,
  asOf: string,
): Promise<void> {
  const branches = new RowBatch('branch', { id: 'uuid', code: 'text', name: 'text', port_code: 'text' })
  for (const { id, code, name, port } of base.branches) branches.add({ id, code, name, port_code: port })
  const users = new RowBatch('app_user', { id: 'uuid', branch_id: 'uuid', role: 'text', name: 'text', email: 'text' })
  base.users.forEach(({ id, branchId, role, name }, index) => {
    const mailbox = `${name.toLowerCase().replace(' ', '.')}.${index + 1}`
    users.add({ id, branch_id: branchId, role, name, email: `${mailbox}@${profile.slug}.example` })
  })
  const customers = new RowBatch('customer', { id: 'uuid', code: 'text', name: 'text', country: 'text' })
  for (const customer of base.customers) customers.add({ ...customer })
  for (const batch of [branches, users, customers, rateRows(base, asOf), settingRows(profile)]) await batch.insert(tx)
}

function rateRows(base: CompanyBase, asOf: string) {
  const rates = new RowBatch('rate', {
    mode: 'text',
    origin: 'text',
    destination: 'text',
    per_kg: 'numeric',
    valid_from: 'date',
    valid_to: 'date',
  })
  const year = asOf.slice(0, 4)
  const from = { valid_from: `${Number(year) - 1}-01-01`, valid_to: `${Number(year) + 1}-12-31` }
  for (const { port } of base.branches) {
    for (const [index, partner] of PARTNER_PORTS.entries()) {
      if (partner === port) continue
      rates.add({ mode: 'sea', origin: port, destination: partner, per_kg: 0.18 + index * 0.013, ...from })
      rates.add({ mode: 'air', origin: port, destination: partner, per_kg: 2.4 + index * 0.11, ...from })
    }
  }
  return rates
}

function settingRows({ name, color, currency, vatRate, formats }: TenantProfile) {
  const settings = new RowBatch('setting', { key: 'text', value: 'jsonb' })
  const values = { name, color, currency, vat_rate: vatRate }
  for (const [key, value] of Object.entries(values)) settings.add({ key, value: JSON.stringify(value) })
  for (const [kind, format] of Object.entries(formats))
    settings.add({ key: `format.${kind}`, value: JSON.stringify(format) })
  return settings
}

/** Ports the companies trade with, by UN/LOCODE. */
export const PARTNER_PORTS = [
  'SGSIN',
  'CNSHA',
  'NLRTM',
  'DEHAM',
  'USNYC',
  'INNSA',
  'GBFXT',
  'SAJED',
  'KRPUS',
  'HKHKG',
  'USLAX',
  'BEANR',
  'LKCMB',
  'OMSLL',
  'EGPSD',
  'TRIST',
  'JPTYO',
  'MYPKG',
  'ZADUR',
  'KEMBA',
  'INMUN',
  'PKKHI',
] as const
