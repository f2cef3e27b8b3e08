/** Visits every state a model can reach, shortest way first, and says where it breaks its promises. */

export interface Step<S> {
  /** What happens, for the reader of a trace. */
  readonly name: string
  readonly next: S
  /** A fault: nobody may count on it, or on its absence. */
  readonly isFault?: boolean
}

export interface Model<S> {
  readonly initial: S
  steps(state: S): Iterable<Step<S>>
  /** The same text for the same state. */
  keyOf(state: S): string
  /** What is wrong in this state; undefined when nothing is. */
  faultOf(state: S): string | undefined
  isFinal(state: S): boolean
}

export interface Finding {
  readonly fault: string
  /** The shortest way there. */
  readonly trace: readonly string[]
}

export interface Explored {
  readonly states: number
  readonly finding: Finding | undefined
}

/** What a bug in a model could make of it; the models here have far fewer. */
const MAX_STATES = 2_000_000

/**
 * Explores until the first broken promise, or everything. A state from which no final one can be reached without another
 * fault is broken as well.
 */
export function explore<S>(model: Model<S>): Explored {
  const indexOf = new Map<string, number>()
  const states: S[] = []
  const cameBy: { readonly from: number; readonly name: string }[] = []
  /** From where each state can be reached by a step that is no fault. */
  const sources: number[][] = []
  const visit = (state: S, from: number, name: string): number => {
    const key = model.keyOf(state)
    const known = indexOf.get(key)
    if (known !== undefined) return known
    const index = states.push(state) - 1
    indexOf.set(key, index)
    cameBy.push({ from, name })
    sources.push([])
    return index
  }
  const found = (fault: string, index: number): Explored => ({
    states: states.length,
    finding: { fault, trace: traceTo(cameBy, index) },
  })
  visit(model.initial, -1, '')
  for (let index = 0; index < states.length; index++) {
    const state = states[index] as S
    const fault = model.faultOf(state)
    if (fault !== undefined) return found(fault, index)
    if (states.length > MAX_STATES) throw new RangeError(`Cannot explore more than ${MAX_STATES} states`)
    for (const { name, next, isFault } of model.steps(state)) {
      const reached = visit(next, index, name)
      if (isFault !== true) sources[reached]?.push(index)
    }
  }
  const stuck = firstStuck(states, sources, model)
  return stuck === undefined ? { states: states.length, finding: undefined } : found('no way to an end', stuck)
}

/** Goes backwards from the final states. */
function firstStuck<S>(states: readonly S[], sources: readonly number[][], model: Model<S>): number | undefined {
  const ends = new Uint8Array(states.length)
  const open: number[] = []
  const mark = (index: number) => {
    if (ends[index] === 1) return
    ends[index] = 1
    open.push(index)
  }
  for (const [index, state] of states.entries()) if (model.isFinal(state)) mark(index)
  for (let index = open.pop(); index !== undefined; index = open.pop())
    for (const from of sources[index] ?? []) mark(from)
  const stuck = ends.indexOf(0)
  return stuck === -1 ? undefined : stuck
}

function traceTo(cameBy: readonly { readonly from: number; readonly name: string }[], end: number): string[] {
  const trace: string[] = []
  for (let at = cameBy[end]; at !== undefined && at.from !== -1; at = cameBy[at.from]) trace.push(at.name)
  return trace.reverse()
}
