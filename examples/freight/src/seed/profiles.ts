/** The companies of the demonstration: two described by hand, the rest put together from words. */

import { Random } from './random.ts'

export interface BranchProfile {
  readonly code: string
  readonly name: string
  readonly port: string
}

/** Everything a tenant's system is set up with. Invented; nothing here is a real company. */
export interface TenantProfile {
  readonly slug: string
  readonly name: string
  /** `#rrggbb`; white text must be readable on it. */
  readonly color: string
  readonly currency: string
  /** Per cent. */
  readonly vatRate: number
  readonly formats: {
    readonly shipment: string
    readonly quote: string
    readonly invoice: string
    readonly awb: string
  }
  readonly branches: readonly BranchProfile[]
}

const ACME: TenantProfile = {
  slug: 'acme',
  name: 'Acme Forwarding',
  color: '#0f6b5c',
  currency: 'AED',
  vatRate: 5,
  formats: {
    shipment: '{branch}-{yyyy}-{seq:5}',
    quote: 'Q-{yyyy}-{seq:5}',
    invoice: 'INV-{yyyy}-{seq:6}',
    awb: '990-{seq:7}{check7}',
  },
  branches: [
    { code: 'DXB', name: 'Dubai', port: 'AEDXB' },
    { code: 'AUH', name: 'Abu Dhabi', port: 'AEAUH' },
    { code: 'SHJ', name: 'Sharjah', port: 'AESHJ' },
  ],
}

const GLOBEX: TenantProfile = {
  slug: 'globex',
  name: 'Globex Logistics',
  color: '#5b3fa8',
  currency: 'EUR',
  vatRate: 21,
  formats: {
    shipment: 'GLX/{seq:6}/{yy}',
    quote: 'GLX/Q{seq:5}/{yy}',
    invoice: '{yy}{seq:7}',
    awb: '991 {seq:7} {check7}',
  },
  branches: [
    { code: 'RTM', name: 'Rotterdam', port: 'NLRTM' },
    { code: 'HAM', name: 'Hamburg', port: 'DEHAM' },
    { code: 'ANR', name: 'Antwerp', port: 'BEANR' },
  ],
}

/** Where the generated companies are at home: currency, standard VAT rate and branches. */
const HOMES = [
  {
    currency: 'SGD',
    vatRate: 9,
    branches: [
      { code: 'SIN', name: 'Singapore', port: 'SGSIN' },
      { code: 'PKG', name: 'Port Klang', port: 'MYPKG' },
    ],
  },
  {
    currency: 'INR',
    vatRate: 18,
    branches: [
      { code: 'NSA', name: 'Nhava Sheva', port: 'INNSA' },
      { code: 'MUN', name: 'Mundra', port: 'INMUN' },
    ],
  },
  {
    currency: 'GBP',
    vatRate: 20,
    branches: [{ code: 'FXT', name: 'Felixstowe', port: 'GBFXT' }],
  },
  {
    currency: 'SAR',
    vatRate: 15,
    branches: [{ code: 'JED', name: 'Jeddah', port: 'SAJED' }],
  },
  {
    currency: 'JPY',
    vatRate: 10,
    branches: [
      { code: 'TYO', name: 'Tokyo', port: 'JPTYO' },
      { code: 'BUS', name: 'Busan', port: 'KRPUS' },
    ],
  },
  {
    currency: 'ZAR',
    vatRate: 15,
    branches: [{ code: 'DUR', name: 'Durban', port: 'ZADUR' }],
  },
] as const satisfies readonly Pick<TenantProfile, 'currency' | 'vatRate' | 'branches'>[]

const FIRST_WORDS = [
  'Amber',
  'Birch',
  'Cedar',
  'Dune',
  'Ember',
  'Flint',
  'Granite',
  'Hazel',
  'Indigo',
  'Juniper',
  'Kestrel',
  'Larch',
]
const SECOND_WORDS = ['Anchor', 'Bay', 'Harbour', 'Keel', 'Lantern', 'Quay', 'Tide']
const LAST_WORDS = ['Cargo', 'Forwarding', 'Freight', 'Logistics']
const COLORS = ['#0b5fa5', '#8a3b12', '#7a2e5d', '#2f6b2f', '#3d4f9e', '#8c2f39', '#1f6f78', '#6b5b13']

/** How many companies there are words for, with acme and globex. */
export const MAX_TENANTS = 2 + FIRST_WORDS.length * SECOND_WORDS.length

/**
 * Returns the first `count` companies, always the same ones in the same order.
 *
 * @throws {RangeError} when `count` is not a whole number from 2 to `MAX_TENANTS`
 */
export function tenantProfiles(count: number): TenantProfile[] {
  if (!Number.isInteger(count) || count < 2 || count > MAX_TENANTS) {
    throw new RangeError(`Cannot make ${count} tenants: wanted a whole number from 2 to ${MAX_TENANTS}`)
  }
  const generated = Array.from({ length: count - 2 }, (_, index) => generateProfile(index))
  return [ACME, GLOBEX, ...generated]
}

function generateProfile(index: number): TenantProfile {
  const random = new Random(`company ${index}`)
  // Both lists advance together, so that neighbours share no word; 12 and 7 have no common divisor, so no pair repeats.
  const first = FIRST_WORDS[index % FIRST_WORDS.length] ?? ''
  const second = SECOND_WORDS[index % SECOND_WORDS.length] ?? ''
  const mark = `${first.slice(0, 1)}${second.slice(0, 2)}`.toUpperCase()
  const formats = [
    { shipment: `${mark}-{yyyy}-{seq:6}`, quote: `${mark}-Q-{seq:5}`, invoice: `${mark}-I-{yyyy}-{seq:6}` },
    { shipment: `{yy}/${mark}/{seq:6}`, quote: `{yy}/Q/{seq:5}`, invoice: `{yy}/I/{seq:6}` },
    { shipment: `{branch}{seq:7}`, quote: `Q{seq:6}`, invoice: `${mark}{seq:7}` },
  ]
  return {
    slug: `${first}-${second}`.toLowerCase(),
    name: `${first} ${second} ${random.pick(LAST_WORDS)}`,
    color: random.pick(COLORS),
    ...random.pick(HOMES),
    formats: { ...random.pick(formats), awb: '992-{seq:7}{check7}' },
  }
}
