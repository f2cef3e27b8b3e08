import { buildCommand } from '@stricli/core'
import { TenantError } from 'rowhouse'
import type { MoveRecord, Moves } from 'rowhouse-server'
import { type Context, command } from '../command.ts'
import { type ConfigFlags, configFlags, withControlPlane } from '../control-plane.ts'
import { printMove, printMoves } from './tenant-move-print.ts'

const list = buildCommand<ConfigFlags, string[], Context>({
  func: command<ConfigFlags, string[]>(async (io, flags, ...[tenant]) => {
    const moves = await withControlPlane(io, flags, async (plane) => {
      if (tenant !== undefined && (await plane.tenants.find(tenant)) === undefined) {
        throw new TenantError('ERR_TENANT_NOT_FOUND', `Cannot list moves of tenant "${tenant}": it does not exist`)
      }
      return plane.moves.list(tenant)
    })
    printMoves(io, moves, flags.json)
  }),
  parameters: {
    flags: configFlags,
    positional: {
      kind: 'array',
      maximum: 1,
      parameter: { parse: String, brief: 'Slug or id [default = moves of all tenants]', placeholder: 'tenant' },
    },
  },
  docs: { brief: 'List moves, newest first: state, rows, how long the tenant was shut out' },
})

/** Commands that do one thing to one move and show it afterwards. */
function change(event: string, brief: string, work: (moves: Moves, id: string) => Promise<MoveRecord>) {
  return buildCommand<ConfigFlags, [string], Context>({
    func: command<ConfigFlags, [string]>(async (io, flags, id) => {
      const move = await withControlPlane(io, flags, (plane) => work(plane.moves, id))
      printMove(io, event, move, flags.json)
    }),
    parameters: {
      flags: configFlags,
      positional: { kind: 'tuple', parameters: [{ parse: String, brief: 'Id of the move', placeholder: 'id' }] },
    },
    docs: { brief },
  })
}

/** Commands for moves, as parts of `rowhouse tenant`. */
export const moveRoutes = {
  moves: list,
  movePause: change('paused', 'Let a move wait after its next round; the tenant works on', (moves, id) =>
    moves.pause(id),
  ),
  moveResume: change('resumed', 'Let a paused move go on', (moves, id) => moves.resume(id)),
  moveAbort: change('aborted', 'End a move before the switch; the tenant stays where it is', (moves, id) =>
    moves.abort(id),
  ),
  moveRevert: change('reverted', 'Bring a switched tenant back, with what it wrote since', (moves, id) =>
    moves.revert(id),
  ),
  moveComplete: change(
    'completed',
    'Remove the old home of a switched tenant; there is no way back then',
    (moves, id) => moves.complete(id),
  ),
} as const
