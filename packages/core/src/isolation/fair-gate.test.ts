import { describe, expect, it } from 'vitest'
import type { TenantId } from '../tenant/tenant-id.ts'
import { type Entrant, FairGate } from './fair-gate.ts'

const tenant = (id: string, plan = 'standard'): Entrant => ({ id: id as TenantId, plan })

function open(slots: number, bounds: Readonly<Record<string, number>> = {}) {
  const started: string[] = []
  const gate = new FairGate({
    slots,
    maxWaiting: 100,
    maxWaitingPerTenant: 100,
    waitTimeoutMs: 60_000,
    maxRunningOf: (plan) => bounds[plan],
  })
  const enter = (who: Entrant) =>
    gate.enter(
      who,
      () => started.push(who.id),
      (error) => {
        throw error
      },
    )
  return { gate, started, enter }
}

describe('a plan’s share', () => {
  it('bounds what runs of one tenant, and lets others past those who wait for it', () => {
    const { gate, started, enter } = open(4, { trial: 1 })
    const [trial, pro] = [tenant('trial-1', 'trial'), tenant('pro-1')]
    for (let i = 0; i < 3; i++) enter(trial)
    expect([started, gate.waiting]).toEqual([['trial-1'], 2])
    enter(pro)
    enter(pro)
    expect(started).toEqual(['trial-1', 'pro-1', 'pro-1'])
    gate.leave(trial)
    expect([started.at(-1), gate.inUse, gate.waiting]).toEqual(['trial-1', 3, 1])
  })

  it('is for each tenant alone', () => {
    const { started, enter } = open(4, { trial: 1 })
    enter(tenant('trial-1', 'trial'))
    enter(tenant('trial-2', 'trial'))
    expect(started).toEqual(['trial-1', 'trial-2'])
  })

  it('gives a free slot to the next who may have it, and forgets nobody', () => {
    const { gate, started, enter } = open(1, { trial: 1 })
    const trial = tenant('trial-1', 'trial')
    enter(trial)
    enter(trial)
    enter(tenant('pro-1'))
    gate.leave(trial)
    gate.leave(trial)
    gate.leave(tenant('pro-1'))
    expect(started.toSorted()).toEqual(['pro-1', 'trial-1', 'trial-1'])
    expect([gate.inUse, gate.waiting]).toEqual([0, 0])
  })
})

describe('without shares', () => {
  it('takes turns between tenants, first come first served within one', () => {
    const { gate, started, enter } = open(1)
    for (const id of ['a', 'a', 'a', 'b']) enter(tenant(id))
    for (const id of ['a', 'a', 'b']) gate.leave(tenant(id))
    expect(started).toEqual(['a', 'a', 'b', 'a'])
  })
})
