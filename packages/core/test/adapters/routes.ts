import { PassThrough } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { runningTenant } from './memory-gate.ts'

/** What every application under test serves, whatever its framework. */
export interface Routes {
  /** GET /whoami */
  whoami(): Promise<unknown>
  /** POST /echo: the body has been parsed by the framework, from a stream. */
  echo(body: unknown): Promise<unknown>
  /** GET /throws */
  throws(): Promise<never>
  /** GET /hang: answers after `release()`. */
  hang(): Promise<unknown>
  /** What the framework's error handler answers with, status 500. */
  failed(error: unknown): unknown
}

export interface WatchedRoutes extends Routes {
  /** Tenants as which handlers ran, in the order in which they ended. */
  readonly served: readonly (string | undefined)[]
  /** Resolves when a request has reached /hang. */
  readonly hanging: Promise<void>
  /** Lets /hang go on; resolves with the tenant it ran as at its end. */
  release(): Promise<string | undefined>
}

/** @param meet  awaited in the middle of /whoami, to make requests overlap */
export function createRoutes(meet: () => Promise<void> = async () => {}): WatchedRoutes {
  const served: (string | undefined)[] = []
  const hanging = defer<void>()
  const released = defer<void>()
  const ended = defer<string | undefined>()
  const hop = async () => {
    const before = runningTenant()
    await meet()
    await hopThroughEverything()
    const after = runningTenant()
    served.push(before === after ? after : `${before} became ${after}`)
    return { before, after }
  }
  return {
    served,
    hanging: hanging.promise,
    whoami: hop,
    echo: async (body) => ({ body, ...(await hop()) }),
    throws: async () => {
      await hop()
      throw new Error('thrown by the handler')
    },
    hang: async () => {
      hanging.resolve()
      await released.promise
      await hopThroughEverything()
      ended.resolve(runningTenant())
      return {}
    },
    release: () => {
      released.resolve()
      return ended.promise
    },
    failed: (error) => ({ message: error instanceof Error ? error.message : '', tenant: runningTenant() }),
  }
}

function defer<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let settle: (value: T) => void = () => {}
  const promise = new Promise<T>((resolve) => {
    settle = resolve
  })
  return { promise, resolve: settle }
}

/** Leaves and re-enters the running function in the ways asynchronous code does. */
async function hopThroughEverything(): Promise<void> {
  await nextTurn()
  await Promise.all([Promise.resolve(), new Promise<void>((resolve) => process.nextTick(resolve))])
  const through = new PassThrough()
  let tenantInStream: string | undefined = 'nobody'
  await Promise.all([
    pipeline(through, async (chunks) => {
      for await (const _ of chunks) tenantInStream = runningTenant()
    }),
    new Promise<void>((resolve) => queueMicrotask(() => resolve(void through.end('x')))),
  ])
  if (tenantInStream !== runningTenant()) throw new Error(`the stream ran as ${tenantInStream}`)
}

/** Returns a function that holds its callers until `size` of them have come, again and again. */
export function createMeetingPoint(size: number): () => Promise<void> {
  let waiting: (() => void)[] = []
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve)
      if (waiting.length < size) return
      const group = waiting
      waiting = []
      for (const go of group) go()
    })
}
