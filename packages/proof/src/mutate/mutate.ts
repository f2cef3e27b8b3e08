import type { Client } from 'pg'
import { examine } from '../doctor/examine.ts'
import type { Rule } from '../doctor/rule.ts'
import { takeSurvey } from '../doctor/survey.ts'
import { quoted } from '../seed/seed-rows.ts'
import type { Stage } from '../verify/stage.ts'
import { findLeak } from '../verify/verify.ts'
import { listMutations, type Mutation } from './mutations.ts'

export interface MutationReport {
  readonly total: number
  readonly killed: number
  /** Of the killed, by whom; verify is asked about what the doctor did not see. */
  readonly byDoctor: number
  readonly byVerify: number
  readonly survivors: readonly Mutation[]
  /** What the doctor missed and an attack found. */
  readonly onlyByAttack: readonly { readonly mutation: Mutation; readonly leak: string }[]
  /** Mutations PostgreSQL did not allow on this schema; not counted. */
  readonly impossible: readonly { readonly mutation: Mutation; readonly reason: string }[]
  /** How often each rule noticed something. */
  readonly byRule: Readonly<Record<string, number>>
  readonly elapsedMs: number
}

export interface MutateOptions {
  readonly rules: readonly Rule[]
  /** Login role of the application. */
  readonly appRole: string
  readonly onProgress?: (done: number, total: number) => void
  readonly signal?: AbortSignal
}

/** A change to a role would be everybody's on the server, so it is only ever made in a transaction that is rolled back. */
const SERVER_WIDE = 'roles'

/**
 * Tears each hole into a scratch copy, one at a time, and asks whether the doctor notices; where it does not, whether an
 * attack comes through. Every mutation is rolled back: the next one meets the schema as it was.
 */
export async function mutate(stage: Stage, options: MutateOptions): Promise<MutationReport> {
  const started = performance.now()
  const mutations = listMutations(stage.facts, quoted(options.appRole), stage.survey.server)
  const unseen: Mutation[] = []
  const impossible: { mutation: Mutation; reason: string }[] = []
  const byRule: Record<string, number> = {}
  const arena = await stage.openArena('whole')
  try {
    const known = new Map<string | undefined, ReadonlySet<string>>()
    for (const [index, mutation] of mutations.entries()) {
      options.signal?.throwIfAborted()
      options.onProgress?.(index, mutations.length)
      const before = known.get(mutation.setup) ?? (await said(arena.admin, mutation.setup, options))
      known.set(mutation.setup, before)
      const seen = await noticed(arena.admin, mutation, before, options)
      if (typeof seen === 'string') impossible.push({ mutation, reason: seen })
      else if (seen.length === 0) unseen.push(mutation)
      for (const rule of typeof seen === 'string' ? [] : seen) byRule[rule] = (byRule[rule] ?? 0) + 1
    }
  } finally {
    await arena.close()
  }
  const survivors: Mutation[] = []
  const onlyByAttack: { mutation: Mutation; leak: string }[] = []
  for (const mutation of unseen) {
    options.signal?.throwIfAborted()
    const leak =
      mutation.target === SERVER_WIDE
        ? undefined
        : await findLeak(stage, `${mutation.setup ?? ''};${mutation.sql}`, options.signal)
    if (leak === undefined) survivors.push(mutation)
    else onlyByAttack.push({ mutation, leak })
  }
  const total = mutations.length - impossible.length
  return {
    total,
    killed: total - survivors.length,
    byDoctor: total - unseen.length,
    byVerify: unseen.length - survivors.length,
    survivors,
    onlyByAttack,
    impossible,
    byRule,
    elapsedMs: performance.now() - started,
  }
}

/** Returns what the doctor says of the schema before it is mutated. */
async function said(admin: Client, setup: string | undefined, options: MutateOptions): Promise<ReadonlySet<string>> {
  await admin.query('begin')
  try {
    if (setup !== undefined) await admin.query(setup)
    return new Set((await askDoctor(admin, options)).map(({ text }) => text))
  } finally {
    await admin.query('rollback')
  }
}

/** Returns the rules that say something new about the mutated schema, or why it could not be mutated. */
async function noticed(
  admin: Client,
  mutation: Mutation,
  before: ReadonlySet<string>,
  options: MutateOptions,
): Promise<string[] | string> {
  await admin.query('begin')
  try {
    try {
      if (mutation.setup !== undefined) await admin.query(mutation.setup)
      await admin.query(mutation.sql)
    } catch (error) {
      return (error as Error).message
    }
    return (await askDoctor(admin, options)).filter(({ text }) => !before.has(text)).map(({ rule }) => rule)
  } finally {
    await admin.query('rollback')
  }
}

/** A rule that can no longer ask has noticed something, too: it never says that all is well. */
async function askDoctor(admin: Client, { rules, appRole }: MutateOptions): Promise<{ rule: string; text: string }[]> {
  const survey = await takeSurvey(admin, { appRoles: [appRole] })
  const { findings, failed } = await examine(admin, survey, rules)
  return [
    ...findings
      .filter(({ severity }) => severity !== 'note')
      .map(({ rule, object, message }) => ({ rule, text: `${rule} ${object} ${message}` })),
    ...failed.map(({ rule, error }) => ({ rule, text: `${rule} failed ${error}` })),
  ]
}
