/** One measured scenario: throughput in operations per second, latency in milliseconds. */
export interface Figures {
  readonly opsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export type Operation = (turn: number) => Promise<unknown>

/**
 * Measures several operations in turns, so that a machine that slows down slows all of them down.
 *
 * @param rounds  each operation runs this often; the reported figures are those of its median round
 */
export async function measureInTurns(
  operations: Readonly<Record<string, Operation>>,
  { inFlight, roundMs, rounds }: { inFlight: number; roundMs: number; rounds: number },
): Promise<Record<string, Figures>> {
  const samples: Record<string, Figures[]> = {}
  for (const operation of Object.values(operations)) await runRound(operation, inFlight, roundMs / 3)
  for (let round = 0; round < rounds; round++) {
    for (const [name, operation] of Object.entries(operations)) {
      samples[name] ??= []
      samples[name].push(await runRound(operation, inFlight, roundMs))
    }
  }
  return Object.fromEntries(Object.entries(samples).map(([name, figures]) => [name, median(figures)]))
}

async function runRound(operation: Operation, inFlight: number, roundMs: number): Promise<Figures> {
  const latencies: number[] = []
  const startedMs = performance.now()
  let turn = 0
  const worker = async () => {
    while (performance.now() - startedMs < roundMs) {
      const beganMs = performance.now()
      await operation(turn++)
      latencies.push(performance.now() - beganMs)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, worker))
  const elapsedMs = performance.now() - startedMs
  return { opsPerSecond: Math.round((latencies.length / elapsedMs) * 1000), ...percentiles(latencies) }
}

export function percentiles(latenciesMs: number[]): { p50Ms: number; p95Ms: number; p99Ms: number } {
  const sorted = [...latenciesMs].sort((a, b) => a - b)
  const at = (share: number) => round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0, 3)
  return { p50Ms: at(0.5), p95Ms: at(0.95), p99Ms: at(0.99) }
}

function median(figures: Figures[]): Figures {
  const sorted = [...figures].sort((a, b) => a.opsPerSecond - b.opsPerSecond)
  return sorted[Math.floor(sorted.length / 2)] as Figures
}

export function round(value: number, digits = 2): number {
  return Number(value.toFixed(digits))
}
