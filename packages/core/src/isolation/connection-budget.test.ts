import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ConnectionBudget, type Holder } from './connection-budget.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] }))
afterEach(() => void vi.useRealTimers())

const WAIT_MS = 200
const open = (max: number) => new ConnectionBudget({ server: 'eu-1', max, waitTimeoutMs: WAIT_MS })

/** A database whose connections do what the test says. */
class FakeHolder implements Holder {
  idle: (() => void)[] = []
  old: (() => void)[] = []
  asked = 0

  dropIdle(): boolean {
    this.asked++
    const leave = this.idle.shift()
    leave?.()
    return leave !== undefined
  }

  yieldOldest(): boolean {
    const leave = this.old.shift()
    leave?.()
    return leave !== undefined
  }
}

/** Lets promises settle that were resolved. */
const settle = async () => {
  for (let i = 0; i < 5; i++) await Promise.resolve()
}

describe('ConnectionBudget', () => {
  it('gives out as many places as there are, and each comes back once however often it is returned', async () => {
    const budget = open(2)
    const holder = new FakeHolder()
    const first = await budget.take(holder)
    await budget.take(holder)
    expect(budget.open).toBe(2)
    first()
    first()
    expect(budget.open).toBe(1)
    await budget.take(holder)
    expect(budget.open).toBe(2)
  })

  it('serves those who wait in the order they came, and nobody who comes later goes past them', async () => {
    const budget = open(1)
    const order: string[] = []
    let leave = await budget.take(new FakeHolder())
    const wait = (name: string) =>
      budget.take(new FakeHolder()).then((given) => {
        order.push(name)
        leave = given
      })
    const all = ['a', 'b', 'c'].map(wait)
    expect(budget.waiting).toBe(3)
    leave()
    all.push(wait('late'))
    await settle()
    for (let i = 0; i < 3; i++) {
      leave()
      await settle()
    }
    await Promise.all(all)
    expect(order).toEqual(['a', 'b', 'c', 'late'])
    expect(budget.open).toBe(1)
  })

  it('takes an idle connection at once, from the database that was used longest ago', async () => {
    const budget = open(2)
    const [old, recent, asker] = [new FakeHolder(), new FakeHolder(), new FakeHolder()]
    old.idle.push(await budget.take(old))
    recent.idle.push(await budget.take(recent))
    budget.touch(old)
    const given = await budget.take(asker)
    expect(recent.idle).toHaveLength(0)
    expect(old.idle).toHaveLength(1)
    expect(budget.open).toBe(2)
    given()
  })

  it('lets the busy give way, one per interval, when nobody is idle', async () => {
    const budget = open(1)
    const busy = new FakeHolder()
    busy.old.push(await budget.take(busy))
    const waiting = budget.take(new FakeHolder())
    await settle()
    expect(busy.old).toHaveLength(1)
    vi.advanceTimersByTime(20)
    await waiting
    expect(busy.old).toHaveLength(0)
  })

  it('refuses who waited too long, names server, number and setting, and says when to come back', async () => {
    const budget = open(3)
    for (let i = 0; i < 3; i++) await budget.take(new FakeHolder())
    const refused = expect(budget.take(new FakeHolder())).rejects.toMatchObject({
      code: 'ERR_OVERLOADED',
      retryable: true,
      retryAfterMs: WAIT_MS,
      message:
        'Cannot open another connection to server "eu-1": all 3 are in use and none came free within 200 ms; try again later, or raise connectionsPerServer',
    })
    vi.advanceTimersByTime(WAIT_MS + 20)
    await refused
    expect(budget).toMatchObject({ open: 3, waiting: 0, isShort: false })
    expect(vi.getTimerCount()).toBe(0)
  })

  it('does not count who was refused, and goes on for those who came later', async () => {
    const budget = open(1)
    const leave = await budget.take(new FakeHolder())
    const late = budget.take(new FakeHolder()).catch((error) => error.code)
    vi.advanceTimersByTime(WAIT_MS / 2)
    const patient = budget.take(new FakeHolder())
    vi.advanceTimersByTime(WAIT_MS / 2 + 20)
    expect(await late).toBe('ERR_OVERLOADED')
    leave()
    ;(await patient)()
    expect(budget.open).toBe(0)
  })

  it('asks nobody who said goodbye, and rests when nobody waits', async () => {
    const budget = open(1)
    const gone = new FakeHolder()
    const leave = await budget.take(gone)
    budget.forget(gone)
    const waiting = budget.take(new FakeHolder())
    expect(gone.asked).toBe(0)
    expect(budget.isShort).toBe(true)
    leave()
    await waiting
    expect(budget.isShort).toBe(false)
    expect(vi.getTimerCount()).toBe(0)
  })
})
