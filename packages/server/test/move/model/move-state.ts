/**
 * A move of one tenant from home A to home B, its abort, its revert and its completion, by two movers at once, under two
 * writers that write once each, when they like.
 *
 * Epoch 0 is A before the move, 1 is B, 2 is A after a revert. A mover is a program that looks at the journal and does
 * the next step. Both may work on the same move: who takes over does not know whether the other one still lives.
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

export type Journal =
  | 'copying'
  | 'switched'
  | 'reverting'
  | 'completing'
  | 'completed'
  | 'aborting'
  | 'aborted'
  | 'reverted'

export interface HomeState {
  readonly resident: 'none' | 'active' | 'fenced'
  readonly epoch: number
  /** Whose mark the fence has. */
  readonly fencedBy: number
  readonly rows: number
  readonly captures: boolean
  /** Keys captured and not yet copied. */
  readonly keys: number
}

export interface Mover {
  readonly at: Place
  /** The epoch its cut starts from. */
  readonly leg: Index
}

/** Where a mover is in its program: not running, between two steps, in a cut, or in the undoing of one. */
export type Place =
  | 'down'
  | 'choosing'
  | 'waiting'
  | 'locked'
  | 'fenced'
  | 'drained'
  | 'admitted'
  | 'entered'
  | 'failed'
  | 'marked'
  | 'undone'

export interface Writer {
  readonly at: 'idle' | 'writing' | 'done'
  /** The epoch the registry told it: it says which home as well. */
  readonly knows: number
}

export type Index = 0 | 1

const NOBODY: HomeState = { resident: 'none', epoch: 0, fencedBy: 0, rows: 0, captures: false, keys: 0 }

export const INITIAL: MoveState = {
  epoch: 0,
  lock: 0,
  journal: 'copying',
  copied: false,
  homes: [{ ...NOBODY, resident: 'active' }, NOBODY],
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

const OVER: ReadonlySet<Journal> = new Set<Journal>(['completed', 'aborted', 'reverted'])

export function isOver({ journal }: MoveState): boolean {
  return OVER.has(journal)
}

/** Returns the home of an epoch. */
export function homeOf(epoch: number): Index {
  return epoch === 1 ? 1 : 0
}

export function nameOf(home: Index): string {
  return home === 0 ? 'A' : 'B'
}

/** Tells whether a seal of this epoch, which the registry has given out, is accepted. */
export function serves({ homes, epoch: named }: MoveState, epoch: number): boolean {
  const home = homes[homeOf(epoch)]
  return epoch <= named && home.resident === 'active' && home.epoch === epoch
}

/** Returns the promise that is broken; undefined when none is. */
export function faultOf(state: MoveState): string | undefined {
  const { homes, epoch, acknowledged } = state
  if ((homes[homeOf(epoch)].rows & acknowledged) !== acknowledged) return 'an acknowledged write is lost'
  const serving = [0, 1, 2].filter((each) => serves(state, each))
  if (serving.length > 1) return 'two homes are active'
  if (serving.some((each) => each !== epoch)) return 'an old home still answers'
  return undefined
}

export function drain(state: MoveState, from: Index): MoveState {
  const to = from === 0 ? 1 : 0
  const rows = state.homes[to].rows | (state.homes[from].keys & state.homes[from].rows)
  return withHome(withHome(state, to, { rows }), from, { keys: 0 })
}

export function remove(state: MoveState, home: Index): MoveState {
  return withHome(state, home, NOBODY)
}

export function withHome(state: MoveState, index: Index, change: Partial<HomeState>): MoveState {
  const [a, b] = state.homes
  return { ...state, homes: index === 0 ? [{ ...a, ...change }, b] : [a, { ...b, ...change }] }
}

/** The leg is remembered only while it matters: fewer states. */
export function goTo(state: MoveState, index: Index, at: Place, leg: Index = state.movers[index].leg): MoveState {
  const mover: Mover = { at, leg: at === 'choosing' || at === 'down' ? 0 : leg }
  const [first, second] = state.movers
  return { ...state, movers: index === 0 ? [mover, second] : [first, mover] }
}

export function unlock(state: MoveState, index: Index): MoveState {
  return state.lock === index + 1 ? { ...state, lock: 0 } : state
}

export function withWriter(state: MoveState, index: Index, writer: Writer): MoveState {
  const [first, second] = state.writers
  return { ...state, writers: index === 0 ? [writer, second] : [first, writer] }
}

/** A letter for each word: short keys are what an exploration spends its time on. */
const LETTERS: ReadonlyMap<string, string> = new Map(
  [
    ...['copying', 'switched', 'reverting', 'completing', 'completed', 'aborting', 'aborted', 'reverted'],
    ...['down', 'choosing', 'waiting', 'locked', 'fenced', 'drained', 'admitted', 'entered', 'failed', 'marked'],
    ...['undone', 'none', 'active', 'idle', 'writing', 'done'],
  ].map((word, i) => [word, String.fromCharCode(97 + i)]),
)

/** Who is first and who second makes no difference, neither for writers nor for movers: the same key for all four. */
export function keyOf(state: MoveState): string {
  const { epoch, journal, copied, homes, movers, writers } = state
  const [a, b] = homes
  const both = homeKey(a) + homeKey(b) + ordered(moverKey(state, movers[0], 1), moverKey(state, movers[1], 2))
  return `${epoch}${letter(journal)}${copied ? 1 : 0}${both}${ordered(writerKey(state, writers[0], 1), writerKey(state, writers[1], 2))}`
}

function moverKey({ lock, homes: [a, b] }: MoveState, { at, leg }: Mover, me: number): string {
  return `${letter(at)}${leg}${(lock === me ? 1 : 0) + (a.fencedBy === me ? 2 : 0) + (b.fencedBy === me ? 4 : 0)}`
}

function writerKey({ homes: [a, b], acknowledged }: MoveState, { at, knows }: Writer, bit: number): string {
  const rows = (a.rows & bit ? 1 : 0) + (b.rows & bit ? 2 : 0)
  const keys = (a.keys & bit ? 1 : 0) + (b.keys & bit ? 2 : 0)
  return `${letter(at)}${knows}${acknowledged & bit ? 1 : 0}${rows}${keys}`
}

function homeKey({ resident, epoch, captures }: HomeState): string {
  return `${letter(resident)}${epoch}${captures ? 1 : 0}`
}

function ordered(first: string, second: string): string {
  return first < second ? first + second : second + first
}

function letter(word: string): string {
  return LETTERS.get(word) as string
}
