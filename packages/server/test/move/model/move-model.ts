import type { Model, Step } from './explore.ts'
import {
  drain,
  faultOf,
  goTo,
  homeOf,
  INITIAL,
  type Index,
  isOver,
  keyOf,
  type MoveState,
  nameOf,
  remove,
  serves,
  unlock,
  withHome,
  withWriter,
} from './move-state.ts'

/** What a move has to do (`SAFE`), and what it may be tried without, to see what that would cost. */
export interface Protocol {
  /** The fence waits for those who write; without, it is a flag. */
  readonly fenceLocks: boolean
  /** What a cut does between the lock and its end, in order. */
  readonly order: readonly CutStep[]
  /** The new home captures keys before it serves. */
  readonly capturesBackEarly: boolean
  /** A fence is lowered by who has locked the placement again, and only if nobody has put a mark of his on it since. */
  readonly undoesUnderLock: boolean
  /** A cut begins only in the state of the move that wants it, read under the lock. */
  readonly checksJournal: boolean
  /** A home is admitted only while the other one is fenced, and never again with an epoch it has had. */
  readonly admitsOnce: boolean
  /** Somebody looks after a tenant that is fenced though its move is over. */
  readonly hasJanitor: boolean
}

type CutStep = 'fence' | 'drain' | 'admit' | 'enter'

export const SAFE: Protocol = {
  fenceLocks: true,
  order: ['fence', 'drain', 'admit', 'enter'],
  capturesBackEarly: true,
  undoesUnderLock: true,
  checksJournal: true,
  admitsOnce: true,
  hasJanitor: true,
}

export interface Faults {
  /** A process dies, at any step, and starts again. */
  readonly crashes: boolean
  /** The session that holds the lock of the placement ends, as by a failover, and its process goes on. */
  readonly lostSessions: boolean
}

type Steps = Generator<Step<MoveState>>

/**
 * Makes the model of a protocol under faults.
 *
 * One step is one transaction in one database, with two exceptions that have to be as good as one: the copy of rows, by
 * the keys captured while it runs, and an admission, by the lock it holds on the other home's resident until it is done.
 */
export function moveModel(protocol: Protocol, faults: Faults): Model<MoveState> {
  return {
    initial: INITIAL,
    keyOf,
    faultOf,
    isFinal: (state) => isOver(state) && state.lock === 0 && serves(state, state.epoch),
    *steps(state) {
      for (const index of [0, 1] as const) {
        yield* writerSteps(state, index)
        yield* moverSteps(protocol, state, index)
        yield* faultSteps(faults, state, index)
      }
      yield* operatorSteps(protocol, state)
    },
  }
}

function* writerSteps(state: MoveState, index: Index): Steps {
  const { at, knows } = state.writers[index]
  const who = `writer ${index + 1}`
  const where = homeOf(knows)
  if (at === 'idle') {
    if (knows !== state.epoch) {
      yield { name: `${who} asks the registry`, next: withWriter(state, index, { at, knows: state.epoch }) }
    }
    if (serves(state, knows)) {
      yield { name: `${who} begins in ${nameOf(where)}`, next: withWriter(state, index, { at: 'writing', knows }) }
    }
  }
  if (at !== 'writing') return
  const home = state.homes[where]
  const bit = 1 << index
  const written = withHome(state, where, { rows: home.rows | bit, keys: home.captures ? home.keys | bit : home.keys })
  const done = withWriter(written, index, { at: 'done', knows })
  yield { name: `${who} commits in ${nameOf(where)}`, next: { ...done, acknowledged: done.acknowledged | bit } }
  yield { name: `${who} rolls back`, next: withWriter(state, index, { at: 'idle', knows }) }
}

function* faultSteps({ crashes, lostSessions }: Faults, state: MoveState, index: Index): Steps {
  const { at } = state.movers[index]
  const who = `mover ${index + 1}`
  if (at === 'down') {
    yield { name: `${who} starts again`, next: goTo(state, index, 'choosing') }
    return
  }
  if (crashes && at !== 'choosing') {
    yield { name: `${who} crashes`, next: goTo(unlock(state, index), index, 'down'), isFault: true }
  }
  if (lostSessions && state.lock === index + 1) {
    yield { name: `${who} loses its session`, next: unlock(state, index), isFault: true }
  }
}

function* operatorSteps({ hasJanitor }: Protocol, state: MoveState): Steps {
  if (state.journal === 'switched') {
    yield { name: 'an operator wants it back', next: { ...state, journal: 'reverting' } }
    yield { name: 'an operator completes it', next: { ...state, journal: 'completing' } }
  }
  const where = homeOf(state.epoch)
  if (hasJanitor && isOver(state) && state.lock === 0 && state.homes[where].resident === 'fenced') {
    yield { name: 'the janitor lowers a forgotten fence', next: withHome(state, where, { resident: 'active' }) }
  }
}

function* moverSteps(protocol: Protocol, state: MoveState, index: Index): Steps {
  const { at, leg } = state.movers[index]
  if (at === 'down') return
  if (at === 'choosing') yield* choose(protocol, state, index)
  else if (at === 'waiting') yield* lock(state, index, leg)
  else if (at === 'failed' || at === 'marked' || at === 'undone') yield* undo(protocol, state, index)
  else {
    yield* cutSteps(protocol, state, index)
    // Any of its statements may fail.
    if (at !== 'entered') yield { name: `mover ${index + 1} fails`, next: goTo(state, index, 'failed') }
  }
}

/** What the journal says is next. */
function* choose(protocol: Protocol, state: MoveState, index: Index): Steps {
  const who = `mover ${index + 1}`
  const [a, b] = state.homes
  const captureBack = { name: `${who} captures keys in B`, next: withHome(state, 1, { captures: true }) }
  switch (state.journal) {
    case 'copying':
      if (!a.captures) yield { name: `${who} captures keys in A`, next: withHome(state, 0, { captures: true }) }
      else if (!state.copied) {
        yield { name: `${who} copies A to B`, next: { ...withHome(state, 1, { rows: a.rows }), copied: true } }
      } else if (protocol.capturesBackEarly && !b.captures) yield captureBack
      else {
        if (a.keys > 0) yield { name: `${who} catches up`, next: drain(state, 0) }
        yield* beginCut(protocol, state, index, 0)
      }
      // The decision is written under the lock: no cut begins after it.
      if (state.lock === 0 && state.epoch === 0)
        yield { name: `${who} aborts`, next: { ...state, journal: 'aborting' } }
      break
    case 'aborting':
      if (a.resident === 'fenced') yield findLeftFence(state, index, 0)
      else yield { name: `${who} removes B`, next: { ...remove(state, 1), journal: 'aborted' } }
      break
    case 'switched':
      if (a.captures) yield { name: `${who} leaves A`, next: withHome(state, 0, { captures: false, keys: 0 }) }
      if (!b.captures) yield captureBack
      break
    case 'reverting':
      if (state.epoch === 2) yield { name: `${who} removes B`, next: { ...remove(state, 1), journal: 'reverted' } }
      else yield* revert(protocol, state, index)
      break
    case 'completing':
      yield { name: `${who} removes A`, next: { ...remove(state, 0), journal: 'completed' } }
  }
}

function* revert(protocol: Protocol, state: MoveState, index: Index): Steps {
  const who = `mover ${index + 1}`
  const [, b] = state.homes
  if (b.keys > 0) yield { name: `${who} catches up backwards`, next: drain(state, 1) }
  yield* beginCut(protocol, state, index, 1)
  if (b.resident === 'fenced') yield findLeftFence(state, index, 1)
  else if (state.lock === 0) yield { name: `${who} stays in B`, next: { ...state, journal: 'switched' } }
}

/** A process died between fence and switch, and its cut is not to be finished. */
function findLeftFence(state: MoveState, index: Index, leg: Index): Step<MoveState> {
  return { name: `mover ${index + 1} finds a fence left behind`, next: goTo(state, index, 'failed', leg) }
}

function* beginCut(protocol: Protocol, state: MoveState, index: Index, leg: Index): Steps {
  if (protocol.checksJournal) yield* lock(state, index, leg)
  // It will have looked at the journal long before.
  else yield { name: `mover ${index + 1} waits for the lock`, next: goTo(state, index, 'waiting', leg) }
}

function* lock(state: MoveState, index: Index, leg: Index): Steps {
  const who = `mover ${index + 1}`
  if (state.lock !== 0) return
  if (state.epoch !== leg) yield { name: `${who} finds it switched`, next: goTo(state, index, 'choosing') }
  else yield { name: `${who} locks the placement`, next: goTo({ ...state, lock: index + 1 }, index, 'locked', leg) }
}

/** The step each place is reached by. */
const REACHES = { fence: 'fenced', drain: 'drained', admit: 'admitted', enter: 'entered' } as const

function* cutSteps(protocol: Protocol, state: MoveState, index: Index): Steps {
  const { at } = state.movers[index]
  const step = protocol.order[protocol.order.findIndex((each) => REACHES[each] === at) + 1]
  if (step !== undefined) yield* CUT[step](protocol, state, index)
  else yield { name: `mover ${index + 1} is done`, next: goTo(unlock(state, index), index, 'choosing') }
}

const CUT: Record<CutStep, (protocol: Protocol, state: MoveState, index: Index) => Steps> = {
  *fence({ fenceLocks }, state, index) {
    const { leg } = state.movers[index]
    const { resident, epoch } = state.homes[leg]
    const name = `mover ${index + 1} fences ${nameOf(leg)}`
    if (resident === 'none' || epoch !== leg) yield refused(name, state, index)
    else if (!fenceLocks || !isWritten(state, leg)) {
      yield { name, next: goTo(withHome(state, leg, { resident: 'fenced', fencedBy: index + 1 }), index, 'fenced') }
    }
  },
  *drain(_, state, index) {
    const { leg } = state.movers[index]
    yield { name: `mover ${index + 1} drains ${nameOf(leg)}`, next: goTo(drain(state, leg), index, 'drained') }
  },
  *admit({ admitsOnce }, state, index) {
    const { leg } = state.movers[index]
    const there = leg === 0 ? 1 : 0
    const [from, to] = [state.homes[leg], state.homes[there]]
    const name = `mover ${index + 1} admits to ${nameOf(there)}`
    const isLate = from.resident !== 'fenced' || from.epoch !== leg || (to.resident === 'fenced' && to.epoch > leg)
    if (admitsOnce && isLate) yield refused(name, state, index)
    else yield { name, next: goTo(withHome(state, there, { resident: 'active', epoch: leg + 1 }), index, 'admitted') }
  },
  *enter({ order }, state, index) {
    const { leg } = state.movers[index]
    const name = `mover ${index + 1} enters ${nameOf(leg === 0 ? 1 : 0)}`
    if (state.lock !== index + 1 || state.epoch !== leg) yield refused(name, state, index)
    else {
      const journal = leg === 0 ? 'switched' : 'reverting'
      const entered = goTo({ ...state, epoch: leg + 1, journal }, index, 'entered')
      yield { name, next: order.at(-1) === 'enter' ? unlock(entered, index) : entered }
    }
  },
}

function refused(name: string, state: MoveState, index: Index): Step<MoveState> {
  return { name: `${name}: refused`, next: goTo(state, index, 'failed') }
}

function isWritten({ writers }: MoveState, home: Index): boolean {
  return writers.some(({ at, knows }) => at === 'writing' && homeOf(knows) === home)
}

/** Lets the tenant in again where a cut has failed, unless another mover has gone on with it. */
function* undo({ undoesUnderLock }: Protocol, state: MoveState, index: Index): Steps {
  const me = index + 1
  const { at, leg } = state.movers[index]
  const home = state.homes[leg]
  const isFenced = home.resident === 'fenced' && home.epoch === leg
  if (at === 'failed' && !undoesUnderLock) {
    yield {
      name: `mover ${me} unlocks`,
      next: goTo(unlock(state, index), index, state.epoch === leg ? 'undone' : 'choosing'),
    }
  } else if (at === 'failed') {
    // In front of the lock: whoever fences while it holds the lock, or after it has lost it, leaves another mark.
    const next = goTo(isFenced ? withHome(state, leg, { fencedBy: me }) : state, index, 'marked')
    yield { name: `mover ${me} marks the fence of ${nameOf(leg)}`, next }
  } else if (at === 'marked') {
    if (state.lock !== 0 && state.lock !== me) return
    if (state.epoch !== leg) {
      yield { name: `mover ${me} finds it switched`, next: goTo(unlock(state, index), index, 'choosing') }
    } else yield { name: `mover ${me} locks the placement again`, next: goTo({ ...state, lock: me }, index, 'undone') }
  } else {
    const isMine = !undoesUnderLock || home.fencedBy === me
    const lowered = isFenced && isMine ? withHome(state, leg, { resident: 'active' }) : state
    yield {
      name: `mover ${me} lowers the fence of ${nameOf(leg)}`,
      next: goTo(unlock(lowered, index), index, 'choosing'),
    }
  }
}
