import { BOOK_COLUMNS } from '../domain/book-import.ts'
import { addDays } from '../domain/iso-date.ts'
import { Random } from './random.ts'

const FIRST = ['Alder', 'Beacon', 'Clover', 'Dolphin', 'Elm', 'Foundry', 'Gable', 'Hollow', 'Ivory', 'Juniper']
const SECOND = [
  'Bakery',
  'Clinic',
  'Engineering',
  'Farms',
  'Haulage',
  'Hotels',
  'Joinery',
  'Logistics',
  'Marine',
  'Textiles',
]
const LEGAL = ['BV', 'GmbH', 'Ltd', 'SA', '& Daughters', '& "Sons"']
const CITIES = ['Antwerp', 'Bergen', 'Cork', 'Ghent', 'Hamburg', 'Leeds', 'Lyon', 'Porto', 'Utrecht', 'Zürich']
const CARRIERS = ['ALB', 'BRC', 'CTP', 'FNX', 'HRZ', 'LYS', 'MRD', 'OAK']
const LINES = [
  ['PROP', 800, 24_000],
  ['LIAB', 450, 9_000],
  ['FLEET', 1_200, 48_000],
  ['CARGO', 600, 60_000],
  ['CYBER', 700, 15_000],
  ['DO', 900, 12_000],
] as const

export interface BookRequest {
  /** The same text gives the same book. */
  readonly seed: string
  readonly clients: number
  /** Day the book is of, e.g. `2026-11-21`. */
  readonly asOf: string
}

/**
 * Makes a broker's book of business as the CSV another system would export: clients with one to three lines of
 * insurance, each renewed every year for up to three years. Names hold commas and quotes, as names do.
 */
export function makeBook({ seed, clients, asOf }: BookRequest): string {
  const random = new Random(`book ${seed}`)
  const lines = [BOOK_COLUMNS.join(',')]
  let policy = 0
  for (let index = 1; index <= clients; index += 1) {
    const client = [`K${String(index).padStart(5, '0')}`, nameOf(random), 'business', random.pick(CITIES)]
    const carrier = random.pick(CARRIERS)
    for (const [line, low, high] of pickLines(random)) {
      const premium = random.between(low, high)
      const began = random.between(0, 2)
      for (let year = began; year >= 0; year -= 1) {
        policy += 1
        const startsOn = addDays(asOf, -year * 365 - random.between(0, 330))
        // Three per cent a year dearer, to the cent.
        const amount = (premium * 1.03 ** (began - year)).toFixed(2)
        const number = `${carrier}-${startsOn.slice(0, 4)}-${String(policy).padStart(6, '0')}`
        lines.push([...client, number, carrier, line, amount, startsOn, addDays(startsOn, 365)].map(quoted).join(','))
      }
    }
  }
  return `${lines.join('\r\n')}\r\n`
}

/** One to three: a client without a policy is on no line of a book. */
function pickLines(random: Random): readonly (typeof LINES)[number][] {
  const some = LINES.filter(() => random.chance(0.3)).slice(0, 3)
  return some.length > 0 ? some : [random.pick(LINES)]
}

function nameOf(random: Random): string {
  const name = `${random.pick(FIRST)} ${random.pick(SECOND)}`
  return random.chance(0.2) ? `${name}, ${random.pick(LEGAL)}` : `${name} ${random.pick(LEGAL)}`
}

function quoted(field: string): string {
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field
}
