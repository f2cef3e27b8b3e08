import { DISGUISES, type Disguise } from './disguises.ts'
import type { Action, Payload, Target } from './payload.ts'
import { REACH_ACTIONS } from './reach-actions.ts'
import { SESSION_ACTIONS } from './session-actions.ts'
import { SPOTS, type Spot, WHOLE } from './spots.ts'
import { SWITCH_ACTIONS } from './switch-actions.ts'

export const ACTIONS: readonly Action[] = [...SWITCH_ACTIONS, ...SESSION_ACTIONS, ...REACH_ACTIONS]

/** Spots per action: each action meets this many places, each place every family. */
const SPOTS_PER_EXPRESSION = 7
const STACKS_PER_STATEMENT = 2

/** What follows a stacked statement, so that the rest of the application's own is no syntax error. */
const TAILS = [' --', ' /*', ';--', '; select 1 --'] as const

/**
 * Writes the payloads for a target: spot × action × disguise, the same in number, order and meaning for each target.
 *
 * Every action meets several places; which, and in which disguise, turns with the seed.
 *
 * @param seed  a whole number; another one gives other combinations of the same parts
 */
export function generatePayloads(target: Target, seed = 0): Payload[] {
  const payloads = new Map<string, Payload>()
  let turn = seed
  for (const action of ACTIONS) {
    const placed =
      action.kind === 'expression' ? placeExpression(action, target, turn) : placeStatement(action, target, turn)
    // Deduplicated by id, never by text: targets differ in text, and the same id has to mean the same in all of them.
    for (const payload of placed) payloads.set(payload.id, payload)
    turn += 1
  }
  return [...payloads.values()]
}

function placeExpression(action: Action, target: Target, turn: number): Payload[] {
  const placed: Payload[] = []
  for (let step = 0; step < SPOTS_PER_EXPRESSION; step++) {
    const spot = at(SPOTS, turn * SPOTS_PER_EXPRESSION + step)
    const breakOut = at(spot.breakOuts, turn + step)
    const disguise = step === 0 ? at(DISGUISES, 0) : at(DISGUISES, turn + step * 5)
    placed.push(makePayload(spot.name, action, disguise, spot.statement(breakOut(disguise.apply(action.sql(target))))))
  }
  const disguise = at(DISGUISES, turn)
  placed.push(makePayload(WHOLE, action, disguise, `select ${disguise.apply(action.sql(target))} as label`))
  return placed
}

/** Disguises of literals are for expressions; where a statement wants a name or a constant, only spaces and case differ. */
const LAYOUTS = DISGUISES.slice(0, 6)

function placeStatement(action: Action, target: Target, turn: number): Payload[] {
  const plain = at(DISGUISES, 0)
  const sql = action.sql(target)
  const placed = [makePayload(WHOLE, action, plain, sql)]
  const layout = at(LAYOUTS.slice(1), turn)
  placed.push(makePayload(WHOLE, action, layout, layout.apply(sql)))
  const commented = { name: 'leading comment', apply: (text: string) => `/* */ ${text}` }
  placed.push(makePayload(WHOLE, action, commented, commented.apply(sql)))
  const open = SPOTS.filter((spot): spot is Spot & { terminator: string } => spot.terminator !== undefined)
  for (let step = 0; step < STACKS_PER_STATEMENT; step++) {
    const spot = at(open, turn + step)
    const disguise = at(LAYOUTS, turn + step)
    const typed = `${spot.terminator}; ${disguise.apply(sql)}${at(TAILS, turn + step)}`
    placed.push(makePayload(spot.name, action, disguise, closed(spot.statement(typed))))
  }
  return placed
}

/** A tail that opens a comment has to see its end. */
function closed(text: string): string {
  return text.includes(' /*') && text.lastIndexOf('/*') > text.lastIndexOf('*/') ? `${text} */` : text
}

function makePayload(spot: string, action: Action, disguise: Disguise, text: string): Payload {
  const id = `${action.family} / ${action.name} @ ${spot} (${disguise.name})`
  return { id, spot, family: action.family, action: action.name, disguise: disguise.name, text }
}

function at<T>(list: readonly T[], index: number): T {
  return list[((index % list.length) + list.length) % list.length] as T
}
