import { describe, expect, it } from 'vitest'
import { explore } from './explore.ts'
import { type Faults, moveModel, type Protocol, SAFE } from './move-model.ts'
import { INITIAL, isOver, type MoveState } from './move-state.ts'

const NONE: Faults = { crashes: false, lostSessions: false }
const CRASHES: Faults = { crashes: true, lostSessions: false }
const ALL: Faults = { crashes: true, lostSessions: true }

describe('a move by two movers under two writers', () => {
  it.each([
    ['no faults', NONE],
    ['crashes at every step', CRASHES],
    ['crashes and lost sessions at every step', ALL],
  ])('keeps its promises with %s, and comes to an end', (name, faults) => {
    const { states, finding } = explore(moveModel(SAFE, faults))
    console.log(`${name}: ${states} states`)
    expect(finding).toBeUndefined()
    expect(states).toBeGreaterThan(10_000)
  })

  it.each(['completed', 'aborted', 'reverted'] as const)(
    'can be %s with both writes made (or nothing was shown)',
    (end) => {
      const model = moveModel(SAFE, NONE)
      const wanted = (state: MoveState) => state.journal === end && state.acknowledged === 3 && isOver(state)
      const { finding } = explore({ ...model, faultOf: (state) => (wanted(state) ? 'reached' : undefined) })
      expect(finding?.fault).toBe('reached')
    },
  )

  it('is the same each time', () => {
    const weak = moveModel({ ...SAFE, undoesUnderLock: false }, ALL)
    expect(explore(weak)).toEqual(explore(weak))
  })
})

interface Weakness {
  readonly without: Partial<Protocol>
  readonly faults: Faults
  readonly fault: string
  /** The steps of the shortest way to it that tell the story. */
  readonly story: readonly string[]
}

const WEAK: Record<string, Weakness> = {
  'a fence that is a flag, and waits for nobody': {
    without: { fenceLocks: false },
    faults: NONE,
    fault: 'an acknowledged write is lost',
    story: ['writer 1 begins in A', 'mover 1 drains A', 'writer 1 commits in A', 'mover 1 enters B'],
  },
  'a switch before the drain': {
    without: { order: ['fence', 'admit', 'enter', 'drain'] },
    faults: NONE,
    fault: 'an acknowledged write is lost',
    story: ['mover 1 copies A to B', 'writer 1 commits in A', 'mover 1 enters B'],
  },
  'a new home that serves before the old one is fenced': {
    without: { order: ['admit', 'enter', 'fence', 'drain'], admitsOnce: false },
    faults: NONE,
    fault: 'two homes are active',
    story: ['mover 1 admits to B', 'mover 1 enters B'],
  },
  'keys of the new home captured after the switch': {
    without: { capturesBackEarly: false },
    faults: NONE,
    fault: 'an acknowledged write is lost',
    story: ['mover 1 enters B', 'writer 1 commits in B', 'an operator wants it back', 'mover 2 enters A'],
  },
  'a fence lowered after the lock was let go': {
    without: { undoesUnderLock: false },
    faults: NONE,
    fault: 'two homes are active',
    story: ['mover 1 unlocks', 'mover 2 admits to B', 'mover 1 lowers the fence of A', 'mover 2 enters B'],
  },
  'a cut that does not read under the lock whether it is still wanted': {
    without: { checksJournal: false },
    faults: NONE,
    fault: 'an acknowledged write is lost',
    story: ['mover 2 removes B', 'mover 1 enters B'],
  },
  'a home admitted by who has lost the lock long ago': {
    without: { admitsOnce: false },
    faults: ALL,
    fault: 'two homes are active',
    story: ['mover 1 loses its session', 'mover 2 fences B', 'mover 1 admits to B', 'mover 2 enters A'],
  },
  'nobody who looks after what a dead process has fenced': {
    without: { hasJanitor: false },
    faults: ALL,
    fault: 'no way to an end',
    story: ['mover 1 loses its session', 'mover 1 fences A', 'mover 1 crashes'],
  },
}

describe('the exploration finds (control)', () => {
  it.each(Object.keys(WEAK))('%s', (name) => {
    const { without, faults, fault, story } = WEAK[name] as Weakness
    const { finding } = explore(moveModel({ ...SAFE, ...without }, faults))
    expect(finding?.fault).toBe(fault)
    expect(
      finding?.trace.filter((step) => story.includes(step)),
      finding?.trace.join('\n'),
    ).toEqual(story)
  })

  it('what is lost without a trace: a state in which nobody can do anything', () => {
    const { finding } = explore({ ...moveModel(SAFE, NONE), steps: () => [] })
    expect(finding).toEqual({ fault: 'no way to an end', trace: [] })
    expect(isOver(INITIAL)).toBe(false)
  })
})
