import { setTimeout as delay } from 'node:timers/promises'

/** Between two steps of one writer, in milliseconds: the mover gets its share of the machine. */
const PACE_MS = 5

/** Work that goes on until it is stopped. */
export interface Load {
  /** Waits until every writer has done a step that it began after this call. Throws what a step has thrown. */
  round(): Promise<void>
  /** Lets what was begun end. Throws what a step has thrown. */
  stop(): Promise<void>
}

/** Repeats a step in each of some writers, one after the other, until it is stopped or a step throws. */
export function keepDoing(writers: number, step: (writer: number) => Promise<void>, paceMs = PACE_MS): Load {
  let running = true
  const steps = Array.from({ length: writers }, () => 0)
  const writer = async (number: number) => {
    while (running) {
      await delay(paceMs) // bounded poll: until stop()
      await step(number)
      steps[number] = (steps[number] ?? 0) + 1
    }
  }
  const all = Promise.all(Array.from({ length: writers }, (_, number) => writer(number)))
  // Reported by stop(); nobody else waits for it meanwhile.
  all.catch(() => {})
  return {
    round: async () => {
      // The step that runs now may have begun before.
      const wanted = steps.map((done) => done + 2)
      const waiting = () => steps.some((done, number) => done < (wanted[number] ?? 0))
      while (running && waiting()) await Promise.race([all, delay(paceMs)]) // bounded poll: a step ends or throws
    },
    stop: async () => {
      running = false
      await all
    },
  }
}
