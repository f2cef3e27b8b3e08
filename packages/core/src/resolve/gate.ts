import type { TenantContext } from '../context/tenant-context.ts'
import type { RequestFacts } from './request-facts.ts'

/** What an adapter needs of Rowhouse: who may come in, and somebody to tell when nobody may. */
export interface TenantGate {
  /** Returns the context of a request. @throws {RowhouseError} why it may not come in */
  enter(request: RequestFacts): Promise<TenantContext>
  /** Told about each refused request, with the real reason; the answer to the client does not carry it. */
  onRefused?(error: unknown, request: RequestFacts): void
}
