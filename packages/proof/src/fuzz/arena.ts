import { createKeeper, type Keeper } from './keeper.ts'
import { compare, type Difference, isPassing, type Outcome } from './outcome.ts'
import { type Mould, SIDES, type Side } from './scratch.ts'
import { type FuzzedSide, openSide } from './side.ts'
import type { Case } from './statement.ts'
import type { Weakness } from './weaknesses.ts'

/** The databases of a run with an application on each: where cases are tried. */
export interface Arena {
  /** Runs a case on both sides and undoes it. */
  tryCase(testCase: Case): Promise<Verdict>
  /** Runs a case on both sides for good, looks at everybody's rows, and puts them back. Nothing else may run meanwhile. */
  commitCase(testCase: Case): Promise<Difference | undefined>
  /** Compares the rows that no statement should have changed, and puts all back in place. Nothing else may run meanwhile. */
  inspect(): Promise<Difference | undefined>
  close(): Promise<void>
}

interface Verdict {
  readonly difference: Difference | undefined
  /** Ended by a timeout, a lock or a lost connection, also when it was tried again: it says nothing. */
  readonly inconclusive: boolean
  /** True when the acting tenant's statement succeeded. */
  readonly succeeded: boolean
}

/** A lost connection takes the statements of others along; these are tried again. */
const ATTEMPTS = 3

export async function openArena(mould: Mould, weakness?: Weakness): Promise<Arena> {
  const scratch = await mould.cast(weakness)
  const opened: { close(): Promise<void> }[] = []
  const close = async () => {
    await Promise.allSettled(opened.map((part) => part.close()))
    await scratch.drop()
  }
  try {
    const sides = {} as Record<Side, FuzzedSide>
    for (const side of SIDES) {
      sides[side] = await openSide(scratch, side)
      opened.push(sides[side])
    }
    const keeper = await createKeeper(scratch, SIDES)
    opened.push(keeper)
    const pristine = [await keeper.digestOfOthers('all', false), await keeper.digestOfOthers('all', true)]
    const comparison = (units: boolean) => compareRows(keeper, pristine[units ? 1 : 0] ?? '', units)
    return {
      tryCase: (testCase) => tryCase(sides, testCase),
      commitCase: async (testCase) => {
        const [all, alone] = await runBoth(sides, testCase, true)
        const difference = compare(testCase, all, alone) ?? (await comparison(testCase.units))
        await restore(keeper)
        return difference
      },
      inspect: async () => {
        const difference = await comparison(false)
        await restore(keeper)
        return difference
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

function otherSide(testCase: Case): Side {
  return testCase.units ? 'narrow' : 'alone'
}

async function runBoth(
  sides: Record<Side, FuzzedSide>,
  testCase: Case,
  commit: boolean,
): Promise<readonly [Outcome, Outcome]> {
  return Promise.all([sides.all.run(testCase, commit), sides[otherSide(testCase)].run(testCase, commit)])
}

async function tryCase(sides: Record<Side, FuzzedSide>, testCase: Case): Promise<Verdict> {
  for (let attempt = 1; ; attempt += 1) {
    const [all, alone] = await runBoth(sides, testCase, false)
    const inconclusive = isPassing(all) || isPassing(alone)
    if (inconclusive && attempt < ATTEMPTS) continue
    const succeeded = all.every(({ error }) => error === undefined)
    return { difference: inconclusive ? undefined : compare(testCase, all, alone), inconclusive, succeeded }
  }
}

/** The others' rows are as at the start, and the acting tenant's rows are the same on both sides. */
async function compareRows(keeper: Keeper, pristine: string, units: boolean): Promise<Difference | undefined> {
  const [others, here, there] = await Promise.all([
    keeper.digestOfOthers('all', units),
    keeper.digestOfOwn('all', units),
    keeper.digestOfOwn(units ? 'narrow' : 'alone', units),
  ])
  if (others !== pristine) return { reason: 'foreign-rows-changed', all: others, alone: pristine }
  return here === there ? undefined : { reason: 'own-rows-differ', all: here, alone: there }
}

async function restore(keeper: Keeper): Promise<void> {
  await Promise.all(SIDES.map((side) => keeper.restore(side)))
}
