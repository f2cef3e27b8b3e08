import type { RunStep } from './journal.ts'
import type { StepEvent } from './provisioning.ts'

/**
 * Reports each step as it begins and ends; one the journal had finished already ends at once.
 *
 * @param slug  of the tenant the steps are for
 */
export function watchedSteps(run: RunStep, slug: string, report: ((event: StepEvent) => void) | undefined): RunStep {
  if (report === undefined) return run
  return async (step, work) => {
    const began = performance.now()
    const tell = (state: StepEvent['state']) => report({ slug, step, state, elapsedMs: performance.now() - began })
    tell('begun')
    try {
      const result = await run(step, work)
      tell('done')
      return result
    } catch (error) {
      tell('failed')
      throw error
    }
  }
}
