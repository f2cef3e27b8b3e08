import { buildCommand } from '@stricli/core'
import type { LegalHold, Lifecycle } from 'rowhouse-server'
import { type Context, command, type Io } from '../command.ts'
import { printJson } from '../print.ts'
import { type ActorFlags, actorFlags, actorOf, tenantPosition, withLifecycle } from './tenant-suspend.ts'

interface ReasonFlags extends ActorFlags {
  readonly reason: string
}

interface LiftFlags extends ActorFlags {
  readonly hold?: string
}

const reasonFlag = { kind: 'parsed', parse: String, brief: 'Why, for people', placeholder: 'text' } as const
const holdFlag = {
  kind: 'parsed',
  parse: String,
  optional: true,
  brief: 'Id of the hold, where there are several',
  placeholder: 'id',
} as const

const hold = buildCommand<ReasonFlags, [string], Context>({
  func: command<ReasonFlags, [string]>(async (io, flags, name) => {
    const request = { reason: flags.reason, by: actorOf(flags) }
    printHold(io, name, await withLifecycle(io, flags, (lifecycle) => lifecycle.hold(name, request)), flags.json)
  }),
  parameters: { flags: { ...actorFlags, reason: reasonFlag }, positional: tenantPosition },
  docs: { brief: 'Place a legal hold: nothing erases the tenant until two people lift it' },
})

const requestLift = buildCommand<ReasonFlags & LiftFlags, [string], Context>({
  func: command<ReasonFlags & LiftFlags, [string]>(async (io, flags, name) => {
    const request = { reason: flags.reason, ...liftOf(flags) }
    printHold(io, name, await withLifecycle(io, flags, (lifecycle) => lifecycle.requestLift(name, request)), flags.json)
  }),
  parameters: { flags: { ...actorFlags, reason: reasonFlag, hold: holdFlag }, positional: tenantPosition },
  docs: { brief: 'Ask for a legal hold to be lifted; another person confirms' },
})

/** Commands that say yes or no to what somebody asked for. */
function answer(brief: string, work: (lifecycle: Lifecycle) => Lifecycle['confirmLift']) {
  return buildCommand<LiftFlags, [string], Context>({
    func: command<LiftFlags, [string]>(async (io, flags, name) => {
      const done = await withLifecycle(io, flags, (lifecycle) => work(lifecycle)(name, liftOf(flags)))
      printHold(io, name, done, flags.json)
    }),
    parameters: { flags: { ...actorFlags, hold: holdFlag }, positional: tenantPosition },
    docs: { brief },
  })
}

export const holdRoutes = {
  hold,
  requestLift,
  confirmLift: answer('Lift a legal hold that another person asked to lift', ({ confirmLift }) => confirmLift),
  withdrawLift: answer('Keep a legal hold that somebody asked to lift', ({ withdrawLift }) => withdrawLift),
}

function liftOf(flags: LiftFlags) {
  return { by: actorOf(flags), ...(flags.hold !== undefined && { hold: flags.hold }) }
}

function printHold(io: Io, name: string, held: LegalHold, json: boolean): void {
  if (json) {
    printJson(io, held)
    return
  }
  const { id, reason, placedBy, since, liftRequestedBy, liftedBy } = held
  const asked = liftRequestedBy === undefined ? '' : `; ${liftRequestedBy} asks to lift it`
  const state = liftedBy === undefined ? `held${asked}` : `lifted, ${liftRequestedBy} asked and ${liftedBy} confirmed`
  io.stdout.write(`${name}: hold ${id} (${reason}, by ${placedBy} at ${since.toISOString()}) is ${state}\n`)
}
