import type { Model, Step } from './explore.ts'

/**
 * A move of one tenant from home A to home B, its revert, its abort and its completion, by two movers at once, under two
 * writers, each of which writes once at a moment of its choice.
 *
 * Epoch 0 is A before the move, 1 is B, 2 is A after a revert. A mover is a program that looks at the journal and does
 * the next step; it can crash at each of them, and lose the session that holds its lock while it goes on. Both movers may
 * work on the same move: who took over from whom does not know that the other one still lives.
 *
 * One step is one transaction in one database. The copy of rows is a step as well: what makes it safe are keys captured
 * while it ran, which are modelled.
 */
export interface MoveState {
  readonly epoch: number
  /** The mover that holds the lock of the placement; 0 for nobody. */
  readonly lock: number
  readonly journal: Journal
  readonly copied: boolean
  readonly homes: readonly [HomeState, HomeState]
  readonly movers: readonly [Mover, Mover]
  readonly writers: readonly [Writer, Writer]
  /** Writes, a bit each, of which somebody was told that they are done. */
  readonly acknowledged: number
}

type Journal =
  | 'copying'
  | 'switched'
  | 'reverting'
  | 'completing'
  | 'completed'
  | 'aborting'
  | 'aborted'
  | 'reverted'

interface HomeState {
  readonly resident: 'none' | 'active' | 'fenced'
  readonly epoch: number
  /** Who fenced it last. */
  readonly fencedBy: number
  readonly rows: number
  readonly captures: boolean
  /** Keys captured and not yet copied. */
  readonly keys: number
}

interface Mover {
  readonly at: Place
  /** The epoch its cut starts from. */
  readonly leg: 0 | 1
}

type Place =
  | 'down'
  | 'choosing'
  | 'locked'
  | 'fenced'
  | 'drained'
  | 'admitted'
  | 'entered'
  | 'failed'
  | 'undoing'
  | 'undone'

interface Writer {
  readonly at: 'idle' | 'writing' | 'done'
  /** The epoch it was told by the registry: it says which home as well. */
  readonly knows: number
}

/** What a protocol may leave out. All of them is what a move has to do. */
export interface Protocol {
  /** The fence waits for those who write; without, it is a flag. */
  readonly fenceLocks: boolean
  /** What a cut does between the lock and its end, in order. */
  readonly order: readonly ('fence' | 'drain' | 'admit' | 'enter')[]
  /** The new home captures keys before it serves. */
  readonly capturesBackEarly: boolean
  /** A fence is lowered only by who holds the placement's lock, and only one's own. */
  readonly undoesUnderLock: boolean
  /** A cut begins only in the state of the move that wants it, read under the lock. */
  readonly checksJournal: boolean
  /** A home is admitted only while the other is fenced, and never again with an epoch it has had. */
  readonly admitsOnce: boolean
  /** Somebody looks after a tenant that is fenced though its move is over. */
  readonly hasJanitor: boolean
}

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
  readonly crashes: boolean
  /** A session ends, as by a failover, and the process goes on. */
  readonly lostSessions: boolean
}

const HOME_OF = [0, 1, 0] as const
const EMPTY: HomeState = { resident: 'none', epoch: 0, fencedBy: 0, rows: 0, captures: false, keys: 0 }
const OVER: ReadonlySet<Journal> = new Set<Journal>(['completed', 'aborted', 'reverted'])
const AFTER = { fence: 'fenced', drain: 'drained', admit: 'admitted', enter: 'entered' } as const

const INITIAL: MoveState = {
  epoch: 0,
  lock: 0,
  journal: 'copying',
  copied: false,
  homes: [{ ...EMPTY, resident: 'active' }, EMPTY],
  movers: [
    { at: 'choosing', leg: 0 },
    { at: 'choosing', leg: 0 },
  ],
  writers: [
    { at: 'idle', knows: 0 },
    { at: 'idle', knows: 0 },
  ],
  acknowledged: 0,
}

/** Makes the model of a protocol under faults. */
export function moveModel(protocol: Protocol, faults: Faults): Model<MoveState> {
  return {
    initial: INITIAL,
    keyOf,
    faultOf,
    isFinal: (state) => OVER.has(state.journal) && state.lock === 0 && serves(state, state.epoch),
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

function keyOf({ epoch, lock, journal, copied, homes, movers, writers, acknowledged }: MoveState): string {
  let key = `${epoch}${lock}${journal}${copied ? 1 : 0}${acknowledged}`
  for (const h of homes) key += `|${h.resident}${h.epoch}${h.fencedBy}${h.rows}${h.captures ? 1 : 0}${h.keys}`
  for (const m of movers) key += `|${m.at}${m.leg}`
  for (const w of writers) key += `|${w.at}${w.knows}`
  return key
}

/** Tells whether a seal of this epoch, which the registry has given out, is accepted. */
function serves({ homes, epoch: named }: MoveState, epoch: number): boolean {
  const home = homes[HOME_OF[epoch] as 0 | 1]
  return epoch <= named && home.resident === 'active' && home.epoch === epoch
}

function faultOf(state: MoveState): string | undefined {
  const { homes, epoch, acknowledged } = state
  const home = homes[HOME_OF[epoch] as 0 | 1]
  if ((home.rows & acknowledged) !== acknowledged) return 'an acknowledged write is lost'
  const serving = [0, 1, 2].filter((each) => serves(state, each))
  if (serving.length > 1) return 'two homes are active'
  if (serving.some((each) => each !== epoch)) return 'an old home still answers'
  return undefined
}

function* writerSteps(state: MoveState, index: 0 | 1): Generator<Step<MoveState>> {
  const writer = state.writers[index]
  const who = `writer ${index + 1}`
  const where = HOME_OF[writer.knows] as 0 | 1
  if (writer.at === 'idle') {
    if (writer.knows !== state.epoch) {
      yield { name: `${who} asks the registry`, next: withWriter(state, index, { at: 'idle', knows: state.epoch }) }
    }
    if (serves(state, writer.knows)) {
      yield { name: `${who} begins in ${nameOf(where)}`, next: withWriter(state, index, { ...writer, at: 'writing' }) }
    }
  }
  if (writer.at !== 'writing') return
  const home = state.homes[where]
  const bit = 1 << index
  const written = withHome(state, where, { rows: home.rows | bit, keys: home.captures ? home.keys | bit : home.keys })
  const done = withWriter(written, index, { ...writer, at: 'done' })
  yield { name: `${who} commits in ${nameOf(where)}`, next: { ...done, acknowledged: done.acknowledged | bit } }
  yield { name: `${who} rolls back`, next: withWriter(state, index, { ...writer, at: 'idle' }) }
}

function* faultSteps({ crashes, lostSessions }: Faults, state: MoveState, index: 0 | 1): Generator<Step<MoveState>> {
  const mover = state.movers[index]
  const me = index + 1
  const unlocked = state.lock === me ? { ...state, lock: 0 } : state
  if (mover.at === 'down') {
    yield { name: `mover ${me} starts again`, next: withMover(state, index, { at: 'choosing', leg: 0 }) }
    return
  }
  if (crashes && mover.at !== 'choosing') {
    yield { name: `mover ${me} crashes`, next: withMover(unlocked, index, { at: 'down', leg: 0 }), isFault: true }
  }
  if (lostSessions && state.lock === me) yield { name: `mover ${me} loses its session`, next: unlocked, isFault: true }
}

function* operatorSteps({ hasJanitor }: Protocol, state: MoveState): Generator<Step<MoveState>> {
  if (state.journal === 'switched') {
    yield { name: 'an operator wants it back', next: { ...state, journal: 'reverting' } }
    yield { name: 'an operator completes it', next: { ...state, journal: 'completing' } }
  }
  const where = HOME_OF[state.epoch] as 0 | 1
  if (hasJanitor && OVER.has(state.journal) && state.lock === 0 && state.homes[where].resident === 'fenced') {
    yield { name: 'the janitor lowers a forgotten fence', next: withHome(state, where, { resident: 'active' }) }
  }
}

function* moverSteps(protocol: Protocol, state: MoveState, index: 0 | 1): Generator<Step<MoveState>> {
  const { at } = state.movers[index]
  if (at === 'down') return
  if (at === 'choosing') yield* choose(protocol, state, index)
  else if (at === 'failed' || at === 'undoing' || at === 'undone') yield* undo(protocol, state, index)
  else {
    const done = protocol.order.findIndex((step) => AFTER[step] === at)
    yield* cutStep(protocol, state, index, protocol.order[done + 1])
    // Any of its statements may fail.
    if (at !== 'entered') yield { name: `mover ${index + 1} fails`, next: goTo(state, index, 'failed') }
  }
}

/** What the journal says is next. */
function* choose(protocol: Protocol, state: MoveState, index: 0 | 1): Generator<Step<MoveState>> {
  const { journal, homes, copied } = state
  const who = `mover ${index + 1}`
  const [a, b] = homes
  if (journal === 'copying') {
    if (!a.captures) yield { name: `${who} captures keys in A`, next: withHome(state, 0, { captures: true }) }
    else if (!copied) {
      yield { name: `${who} copies A to B`, next: { ...withHome(state, 1, { rows: a.rows }), copied: true } }
    } else if (protocol.capturesBackEarly && !b.captures) {
      yield { name: `${who} captures keys in B`, next: withHome(state, 1, { captures: true }) }
    } else {
      if (a.keys > 0) yield { name: `${who} catches up`, next: drain(state, 0) }
      yield* takeLock(protocol, state, index, 0)
    }
    yield* abort(protocol, state, index)
  }
  if (journal === 'aborting') yield { name: `${who} removes B`, next: { ...remove(withFenceDown(state), 1), journal: 'aborted' } }
  if (journal === 'switched') {
    if (a.captures) yield { name: `${who} leaves A`, next: withHome(state, 0, { captures: false, keys: 0 }) }
    if (!b.captures) yield { name: `${who} captures keys in B`, next: withHome(state, 1, { captures: true }) }
  }
  if (journal === 'reverting') {
    if (state.epoch === 2) yield { name: `${who} removes B`, next: { ...remove(state, 1), journal: 'reverted' } }
    else {
      if (b.keys > 0) yield { name: `${who} catches up backwards`, next: drain(state, 1) }
      yield* takeLock(protocol, state, index, 1)
      if (state.lock === 0) yield { name: `${who} stays in B`, next: { ...state, journal: 'switched' } }
    }
  }
  if (journal === 'completing') yield { name: `${who} removes A`, next: { ...remove(state, 0), journal: 'completed' } }
}

/** The decision is written under the lock, so that no cut can begin after it; then the rest follows. */
function* abort(protocol: Protocol, state: MoveState, index: 0 | 1): Generator<Step<MoveState>> {
  if (state.lock !== 0 || state.epoch !== 0) return
  const name = `mover ${index + 1} aborts`
  if (protocol.checksJournal) yield { name, next: { ...state, journal: 'aborting' } }
  else yield { name, next: goTo({ ...state, journal: 'aborting' }, index, 'choosing') }
}

function* takeLock(protocol: Protocol, state: MoveState, index: 0 | 1, leg: 0 | 1): Generator<Step<MoveState>> {
  if (state.lock !== 0 || state.epoch !== leg) return
  const locked = withMover({ ...state, lock: index + 1 }, index, { at: 'locked', leg })
  yield { name: `mover ${index + 1} locks the placement`, next: locked }
  // Without the check it may have looked at the journal long before.
  if (!protocol.checksJournal) yield { name: `mover ${index + 1} waits for the lock`, next: withMover(state, index, { at: 'locked', leg }) }
}

function* cutStep(
  protocol: Protocol,
  state: MoveState,
  index: 0 | 1,
  step: Protocol['order'][number] | undefined,
): Generator<Step<MoveState>> {
  const me = index + 1
  const who = `mover ${me}`
  const { leg } = state.movers[index]
  const from = state.homes[leg]
  const to = state.homes[leg === 0 ? 1 : 0]
  const there = leg === 0 ? 1 : 0
  const failed = (name: string) => ({ name, next: goTo(state, index, 'failed') })
  if (step === undefined) {
    const next = goTo(state.lock === me ? { ...state, lock: 0 } : state, index, 'choosing')
    yield { name: `${who} is done`, next }
  } else if (step === 'fence') {
    if (from.resident === 'none' || from.epoch !== leg) yield failed(`${who} finds nobody to fence in ${nameOf(leg)}`)
    else if (!protocol.fenceLocks || !isWritten(state, leg)) {
      const next = withHome(state, leg, { resident: 'fenced', fencedBy: me })
      yield { name: `${who} fences ${nameOf(leg)}`, next: goTo(next, index, AFTER.fence) }
    }
  } else if (step === 'drain') {
    yield { name: `${who} drains ${nameOf(leg)}`, next: goTo(drain(state, leg), index, AFTER.drain) }
  } else if (step === 'admit') {
    const isStale = from.resident !== 'fenced' || from.epoch !== leg || (to.resident === 'fenced' && to.epoch > leg)
    if (protocol.admitsOnce && isStale) yield failed(`${who} may not admit to ${nameOf(there)}`)
    else {
      const next = withHome(state, there, { resident: 'active', epoch: leg + 1 })
      yield { name: `${who} admits to ${nameOf(there)}`, next: goTo(next, index, AFTER.admit) }
    }
  } else if (state.lock !== me || state.epoch !== leg) yield failed(`${who} cannot enter ${nameOf(there)}`)
  else {
    const isLast = protocol.order.at(-1) === 'enter'
    const journal = leg === 0 ? 'switched' : 'reverting'
    const next = { ...state, epoch: leg + 1, journal, lock: isLast ? 0 : me } as const
    yield { name: `${who} enters ${nameOf(there)}`, next: goTo(next, index, AFTER.enter) }
  }
}

/** Lets the tenant in again where a cut has failed: not where another mover goes on with it. */
function* undo(protocol: Protocol, state: MoveState, index: 0 | 1): Generator<Step<MoveState>> {
  const me = index + 1
  const who = `mover ${me}`
  const { at, leg } = state.movers[index]
  const home = state.homes[leg]
  const isFenced = home.resident === 'fenced' && home.epoch === leg
  const lower = (name: string) => {
    const mine = !protocol.undoesUnderLock || home.fencedBy === me
    const lowered = isFenced && mine ? withHome(state, leg, { resident: 'active' }) : state
    return { name, next: goTo({ ...lowered, lock: lowered.lock === me ? 0 : lowered.lock }, index, 'choosing') }
  }
  if (!protocol.undoesUnderLock) {
    if (at === 'failed') yield { name: `${who} unlocks`, next: goTo({ ...state, lock: state.lock === me ? 0 : state.lock }, index, 'undone') }
    else if (state.epoch === leg) yield lower(`${who} lowers the fence of ${nameOf(leg)}`)
    else yield { name: `${who} finds it switched`, next: goTo(state, index, 'choosing') }
  } else if (at === 'failed') {
    if (state.lock !== 0 && state.lock !== me) return
    if (state.epoch === leg) yield { name: `${who} locks the placement again`, next: goTo({ ...state, lock: me }, index, 'undoing') }
    else yield { name: `${who} finds it switched`, next: goTo({ ...state, lock: 0 }, index, 'choosing') }
  } else if (at === 'undoing') {
    // Its own mark: whoever fences after this has another one, and keeps it.
    const next = isFenced ? withHome(state, leg, { fencedBy: me }) : state
    yield { name: `${who} marks the fence of ${nameOf(leg)}`, next: goTo(next, index, 'undone') }
  } else yield lower(`${who} lowers the fence of ${nameOf(leg)}`)
}

function isWritten({ writers }: MoveState, home: 0 | 1): boolean {
  return writers.some(({ at, knows }) => at === 'writing' && HOME_OF[knows] === home)
}

function drain(state: MoveState, from: 0 | 1): MoveState {
  const to = from === 0 ? 1 : 0
  const rows = state.homes[to].rows | (state.homes[from].keys & state.homes[from].rows)
  return withHome(withHome(state, to, { rows }), from, { keys: 0 })
}

function remove(state: MoveState, home: 0 | 1): MoveState {
  return withHome(state, home, EMPTY)
}

function withFenceDown(state: MoveState): MoveState {
  const [a] = state.homes
  return a.resident === 'fenced' && state.epoch === 0 ? withHome(state, 0, { resident: 'active' }) : state
}

function withHome(state: MoveState, index: 0 | 1, change: Partial<HomeState>): MoveState {
  const [a, b] = state.homes
  return { ...state, homes: index === 0 ? [{ ...a, ...change }, b] : [a, { ...b, ...change }] }
}

function withMover(state: MoveState, index: 0 | 1, mover: Mover): MoveState {
  const [first, second] = state.movers
  return { ...state, movers: index === 0 ? [mover, second] : [first, mover] }
}

/** The leg is remembered only while it matters: fewer states. */
function goTo(state: MoveState, index: 0 | 1, at: Place): MoveState {
  return withMover(state, index, { at, leg: at === 'choosing' ? 0 : state.movers[index].leg })
}

function withWriter(state: MoveState, index: 0 | 1, writer: Writer): MoveState {
  const [first, second] = state.writers
  return { ...state, writers: index === 0 ? [writer, second] : [first, writer] }
}

function nameOf(home: 0 | 1): string {
  return home === 0 ? 'A' : 'B'
}
