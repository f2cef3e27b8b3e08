import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { CommissionStatement } from '../src/domain/commission-statement.ts'
import { parseCsv } from '../src/domain/csv.ts'
import { makeBook } from '../src/seed/make-book.ts'
import type { Browser } from './support/browser.ts'
import { PLACED, startTestPlatform, type TestPlatform } from './support/test-platform.ts'

const HEAD = 'client_reference,client_name,client_kind,city,policy_number,carrier,line,premium,starts_on,ends_on'
const GOOD = 'K1,"Gable, ""Sons"" & Co",business,Cork,P-1,OAK,PROP,1234.56,2026-01-01,2027-01-01'

describe('parseCsv()', () => {
  test.each([
    [
      'quotes, commas and line breaks in fields',
      'a,"b, ""c""\r\nd"\r\ne,f',
      [
        { line: 1, fields: ['a', 'b, "c"\r\nd'] },
        { line: 3, fields: ['e', 'f'] },
      ],
    ],
    [
      'empty fields and a last line without an end',
      ',\n"",x',
      [
        { line: 1, fields: ['', ''] },
        { line: 2, fields: ['', 'x'] },
      ],
    ],
    [
      'a byte order mark and empty lines',
      '\uFEFFa\n\n\nb\n',
      [
        { line: 1, fields: ['a'] },
        { line: 4, fields: ['b'] },
      ],
    ],
    ['nothing', '', []],
  ])('reads %s', (_, text, rows) => {
    expect(parseCsv(text)).toEqual(rows)
  })

  test.each([
    ['a quote that is not closed', 'a\n"b', 2, 'a quote is not closed'],
    ['text after a closing quote', '"a"b', 1, 'something follows a closing quote'],
    ['a field without end', 'a'.repeat(5_000), 1, 'a field has 1000 characters or more'],
  ])('refuses %s', (_, text, line, message) => {
    expect(() => parseCsv(text)).toThrow(expect.objectContaining({ line, message }))
  })
})

test('makeBook() makes the same book for the same seed, and another one for another', () => {
  const make = (seed: string) => makeBook({ seed, clients: 50, asOf: '2026-11-21' })
  expect(make('a')).toBe(make('a'))
  expect(make('a')).not.toBe(make('b'))
})

describe('importing a book', () => {
  let platform: TestPlatform
  const brokers = new Map<string, Browser>()
  const broker = (model: string) => brokers.get(model) as Browser
  beforeAll(async () => {
    platform = await startTestPlatform()
    for (const [plan, model] of PLACED) brokers.set(model, await platform.makeBroker(`imports-${model}`, plan))
  })
  afterAll(() => platform.stop())
  const send = async (model: string, csv: string) => {
    const { status, body } = await broker(model).post('/api/book', { csv })
    return { status, answer: JSON.parse(body) }
  }

  describe.each(PLACED)('of a broker with plan %s (%s)', (_, model) => {
    test('takes thousands of policies at once, and the same ones again change nothing', async () => {
      const csv = makeBook({ seed: 'large', clients: 1_500, asOf: '2026-11-21' })
      const policies = csv.trimEnd().split('\r\n').length - 1
      const first = await send(model, csv)
      expect(first).toEqual({ status: 201, answer: { policies, known: 0, clients: 1_500, commissions: policies } })
      const again = await send(model, csv)
      expect(again).toEqual({ status: 201, answer: { policies: 0, known: policies, clients: 0, commissions: 0 } })
    })

    test('ends in a statement whose sums are those of its rows, to the cent', async () => {
      const { months } = await broker(model).json<CommissionStatement>('/api/commissions')
      expect(months.length).toBeGreaterThan(20)
      for (const month of months.slice(0, 6)) {
        const statement = await broker(model).json<CommissionStatement>(`/api/commissions?month=${month}`)
        for (const column of ['premium', 'due', 'received', 'outstanding'] as const) {
          const cents = statement.rows.reduce((sum, row) => sum + toCents(row[column]), 0n)
          expect(toCents(statement.total[column]), `${month} ${column}`).toBe(cents)
        }
        expect(toCents(statement.total.due)).toBe(
          toCents(statement.total.received) + toCents(statement.total.outstanding),
        )
      }
    })

    test('books what an insurer paid, and nothing else', async () => {
      const read = (month: string) => broker(model).json<CommissionStatement>(`/api/commissions?month=${month}`)
      const [month = ''] = (await read('2026-11')).months
      const before = await read(month)
      const [row] = before.rows
      const form = { month, carrier: row?.code ?? '' }
      expect((await broker(model).post('/commissions/received', { form })).status).toBe(303)
      const after = await read(month)
      expect(after.rows[0]).toMatchObject({ code: row?.code, received: row?.due, outstanding: '0' })
      expect(after.rows.slice(1)).toEqual(before.rows.slice(1))
    })

    test('renews at the terms for renewals', async () => {
      const lines = ['2024', '2025', '2026'].map(
        (year) => `K-R,Renewing,business,Lyon,R-${year},ALB,CYBER,1000.00,${year}-03-01,${Number(year) + 1}-03-01`,
      )
      expect((await send(model, [HEAD, ...lines].join('\n'))).answer).toMatchObject({ policies: 3, commissions: 3 })
      const { policies } = await broker(model).json<{ policies: { id: string }[] }>('/api/policies?q=R-20')
      const files = await Promise.all(
        policies.map(({ id }) =>
          broker(model).json<{ commissions: { kind: string; amount: string }[] }>(`/api/policies/${id}`),
        ),
      )
      expect(files.flatMap(({ commissions }) => commissions.map(({ kind, amount }) => [kind, amount]))).toEqual([
        ['renewal', '145.00'],
        ['renewal', '145.00'],
        ['new', '175.00'],
      ])
    })

    test.each([
      ['no columns', 'a,b\n1,2', '"line 1" must name the columns; missing: client_reference'],
      ['no lines', HEAD, '"book" must have 1 to 50000 lines below the first'],
      ['broken quotes', `${HEAD}\n"x`, '"line 2" must be CSV: a quote is not closed'],
      ['too few fields', `${HEAD}\nK1,Name`, '"line 2, city" must be text of 1 to 100 characters'],
      ['no amount', `${HEAD}\n${GOOD.replace('1234.56', '-5')}`, '"line 2, premium" must be an amount above 0'],
      ['no day', `${HEAD}\n${GOOD.replace('2026-01-01', '2026-02-30')}`, '"line 2, starts_on" must be a day'],
      ['an end before the beginning', `${HEAD}\n${GOOD.replace('2027', '2025')}`, '"line 2, ends_on" must be after'],
      ['one number twice', `${HEAD}\n${GOOD}\n${GOOD}`, '"line 3, policy_number" must be on one line only'],
      ['an unknown insurer', `${HEAD}\n${GOOD.replace('OAK', 'ZZZ')}`, '"carrier" "ZZZ" is no insurer here'],
      ['an unknown line', `${HEAD}\n${GOOD.replace('PROP', 'MOON')}`, '"line" "MOON" is no line of business here'],
    ])('with %s is refused, and nothing of it is kept', async (__, csv, message) => {
      const { status, answer } = await send(model, csv)
      expect(status).toBe(400)
      expect(answer).toMatchObject({ code: 'ERR_INPUT_INVALID', detail: expect.stringContaining(message) })
      expect((await broker(model).json<{ total: number }>('/api/policies?q=P-1')).total).toBe(0)
    })
  })

  test('that is too large is refused', async () => {
    const { status } = await broker('pooled').post('/api/book', { csv: 'x'.repeat(9 * 1024 * 1024) })
    expect(status).toBe(413)
  })

  test('without a session is refused', async () => {
    expect((await platform.at('imports-pooled').post('/api/book', { csv: HEAD })).status).toBe(401)
  })
})

function toCents(amount: string): bigint {
  const [whole = '', fraction = ''] = amount.split('.')
  return BigInt(whole) * 100n + BigInt(fraction.padEnd(2, '0'))
}
