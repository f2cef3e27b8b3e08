import type { Model, OperatorWish } from 'rowhouse-server'
import { wholeNumber } from './command.ts'

/** What is known about a tenant that is to be placed. */
export interface PlacingFlags {
  readonly plan?: string
  readonly region?: string
  readonly compliance?: readonly string[]
  readonly expectedRows?: number
  readonly label?: readonly (readonly [string, string])[]
  readonly model?: Model
  readonly server?: string
}

export const placingFlags = {
  plan: { kind: 'parsed', parse: String, optional: true, brief: 'Plan [default = standard]', placeholder: 'name' },
  region: {
    kind: 'parsed',
    parse: String,
    optional: true,
    brief: 'Region the data may not leave [default = any]',
    placeholder: 'name',
  },
  compliance: {
    kind: 'parsed',
    parse: String,
    optional: true,
    variadic: ',',
    brief: 'Profiles the tenant is under, e.g. gdpr,hipaa',
    placeholder: 'names',
  },
  expectedRows: {
    kind: 'parsed',
    parse: wholeNumber(0, Number.MAX_SAFE_INTEGER),
    optional: true,
    brief: 'Rows it will have, for the rules',
    placeholder: 'n',
  },
  label: {
    kind: 'parsed',
    parse: parseLabel,
    optional: true,
    variadic: true,
    brief: 'A fact for the rules and steps, e.g. industry=freight; may be repeated',
    placeholder: 'name=value',
  },
  model: {
    kind: 'enum',
    values: ['pooled', 'schema', 'database'],
    optional: true,
    brief: 'Ask for a model; rules that bind and residency go before it',
  },
  server: {
    kind: 'parsed',
    parse: String,
    optional: true,
    brief: 'Ask for a server; residency, state and capacity go before it',
    placeholder: 'name',
  },
} as const

/** Returns what an operator asks for by name. */
export function wishOf({ model, server }: PlacingFlags): OperatorWish {
  return { ...(model !== undefined && { model }), ...(server !== undefined && { server }) }
}

function parseLabel(text: string): readonly [string, string] {
  const at = text.indexOf('=')
  if (at < 1) throw new RangeError('wanted name=value')
  return [text.slice(0, at), text.slice(at + 1)]
}
