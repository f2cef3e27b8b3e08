import { describe, expect, it } from 'vitest'
import { newHistory } from './history.ts'

const found = (...identities: string[]) => identities.map((identity) => ({ identity }))
const SPOTLESS = { lost: [], doubled: [], stale: [], foreign: [] }

function written(...identities: string[]) {
  const history = newHistory()
  for (const identity of identities) history.wrote(identity)
  return history
}

describe('newHistory()', () => {
  it('finds nothing wrong where everything acknowledged is there once', () => {
    expect(written('a', 'b').judge(found('b', 'a'))).toEqual(SPOTLESS)
  })

  it.each([
    ['lost', found('a'), { lost: ['b'] }],
    ['there twice', found('a', 'b', 'a'), { doubled: ['a'] }],
    ["another tenant's", found('a', 'b', 'theirs'), { foreign: ['theirs'] }],
    ["nobody's", found('a', 'b', 'x'), { foreign: ['x'] }],
  ])('finds what is %s', (_name, rows, faults) => {
    expect(written('a', 'b').judge(rows, ['theirs'])).toEqual({ ...SPOTLESS, ...faults })
  })

  it('counts additions: fewer than acknowledged and more than tried are stale, between is not known', () => {
    const history = written('a')
    history.added('a')
    history.failed(new Error('away'), 'a')
    const stale = [0, 1, 2, 3].filter((value) => history.judge([{ identity: 'a', value }]).stale.length > 0)
    expect(stale).toEqual([0, 3])
  })

  it('counts additions to a row that was there before, also those that failed first', () => {
    const history = newHistory()
    history.failed(new Error('away'), 'a')
    history.added('a')
    const stale = [0, 1, 2, 3].filter((value) => history.judge([{ identity: 'a', value }]).stale.length > 0)
    expect(stale).toEqual([0, 3])
    expect(history.judge([]).lost).toEqual(['a'])
    expect(history).toMatchObject({ writes: 2, acknowledged: 1 })
  })

  it('lets a failed write be there or not, once for each that did not say what it was', () => {
    const history = written('a')
    history.failed(Object.assign(new Error('moving'), { code: 'ERR_TENANT_MOVING' }), 'b')
    history.failed(new TypeError('away'))
    expect(history.judge(found('a'))).toEqual(SPOTLESS)
    expect(history.judge(found('a', 'b', 'unnamed'))).toEqual(SPOTLESS)
    expect(history.judge(found('a', 'x', 'y')).foreign).toEqual(['x', 'y'])
    // Another tenant's row is explained by nothing.
    expect(history.judge(found('a', 'theirs'), ['theirs']).foreign).toEqual(['theirs'])
    expect(history).toMatchObject({ writes: 3, acknowledged: 1, refused: { ERR_TENANT_MOVING: 1, TypeError: 1 } })
  })
})
