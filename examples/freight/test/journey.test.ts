import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Journey, openJourney } from '../src/journey/journey.ts'

/** A slice of `npm run journey`: the first way out and back. */
let journey: Journey
const lines: string[] = []
beforeAll(async () => {
  journey = await openJourney((line) => lines.push(line), [{ model: 'database', server: 'vault' }])
})
afterAll(() => journey.close())

describe('npm run journey', () => {
  it('takes a company that works to another major and home, and brings deleted rows back', async () => {
    const report = await journey.travel({ shipments: 20 })
    expect(report).toMatchObject({ ok: true, faults: [], lost: 0, doubled: 0, foreign: 0, left: [] })
    expect(report.moves.map(({ ended }) => ended)).toEqual(['aborted', 'reverted', 'completed', 'completed'])
    expect(report.neighbour.after).toBe(report.neighbour.before)
    expect(report.restore?.inserted).toBeGreaterThan(0)
    expect(lines).toContainEqual(expect.stringMatching(/^pooled on main to database on vault: completed/))
    expect(lines).toContainEqual(expect.stringMatching(/^\d+ rows brought back; every row as it was$/))
  })

  it('finds lost bookings when the fence is taken out, or it would prove nothing', async () => {
    const report = await journey.travel({ shipments: 20, weaken: true })
    expect(report.ok).toBe(false)
    expect(report.lost).toBeGreaterThan(0)
    expect(report.faults).toContainEqual(expect.stringContaining('acknowledged writes were lost'))
  })
})
