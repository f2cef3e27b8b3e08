import type { HybridHomes } from 'rowhouse-example-freight'

/** Where tenants of the test demonstration live; who is not named shares tables. */
export type Layout = HybridHomes['homes']

let layout: Layout | undefined

/** Gives every demonstration of this test file another layout, so that its tests run unchanged over other placements. */
export function placeTenants(homes: Layout): void {
  layout = homes
}

export function findLayout(): Layout | undefined {
  return layout
}
