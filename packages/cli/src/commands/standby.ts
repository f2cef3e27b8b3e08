import { buildCommand, buildRouteMap } from '@stricli/core'
import type { Model, StepEvent } from 'rowhouse-server'
import { asTyped, type Context, command, wholeNumber } from '../command.ts'
import { type ConfigFlags, configFlags, withControlPlane } from '../control-plane.ts'
import { printJson } from '../print.ts'
import { openProgressBar } from '../progress-bar.ts'
import { countText, durationText } from '../terminal.ts'

interface FillFlags extends ConfigFlags {
  readonly model: Model
  readonly server: string
  readonly count: number
}

const fill = buildCommand<FillFlags, [], Context>({
  func: command<FillFlags, []>(async (io, flags) => {
    const { model, server, count, json } = flags
    const began = performance.now()
    const bar = openProgressBar(io)
    let done = 0
    const onStep = ({ slug, step, state }: StepEvent) => {
      if (step !== 'open' || state !== 'done' || !slug.startsWith('standby-')) return
      done += 1
      bar.show({ label: server, done, total: count })
    }
    try {
      const made = await withControlPlane(
        io,
        flags,
        (plane) => asTyped(() => plane.standby.fill({ model, server, count })),
        { onStep },
      )
      bar.end()
      if (json) printJson(io, { made, model, server })
      else
        io.stderr.write(
          `${countText(made)} tenants in reserve on ${server}, model ${model}, in ${durationText(performance.now() - began)}\n`,
        )
    } finally {
      bar.end()
    }
  }),
  parameters: {
    flags: {
      ...configFlags,
      model: { kind: 'enum', values: ['pooled', 'schema', 'database'], brief: 'How they live' },
      server: { kind: 'parsed', parse: String, brief: 'Server they live on', placeholder: 'name' },
      count: { kind: 'parsed', parse: wholeNumber(1, 10_000), brief: 'How many more to make', placeholder: 'n' },
    },
  },
  docs: {
    brief: 'Make tenants in advance, so that a sign-up only has to claim one',
    fullDescription: 'A sign-up claims one where the placement rule that chose says "standby": true.',
  },
})

const prepare = buildCommand<ConfigFlags, [string], Context>({
  func: command<ConfigFlags, [string]>(async (io, flags, server) => {
    const began = performance.now()
    await withControlPlane(io, flags, (plane) => plane.standby.prepare(server))
    if (flags.json) printJson(io, { prepared: server })
    else
      io.stderr.write(
        `The template database of ${server} is up to date, in ${durationText(performance.now() - began)}\n`,
      )
  }),
  parameters: {
    flags: configFlags,
    positional: { kind: 'tuple', parameters: [{ parse: String, brief: 'Name of the server', placeholder: 'server' }] },
  },
  docs: { brief: 'Build the database that tenants with a database of their own are copied from' },
})

export const standbyRoutes = buildRouteMap({
  routes: { fill, prepare },
  docs: { brief: 'Tenants made in advance: fill, prepare' },
})
