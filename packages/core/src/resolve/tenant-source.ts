import type { TenantKey } from '../tenant/directory.ts'
import type { CheckedRequest } from './request-facts.ts'

/** One place where a request can say which tenant it is for. */
export interface TenantSource {
  /** Shown in logs, e.g. `subdomain`. */
  readonly name: string
  /** True when it is a secret that says so: whatever is wrong with it is answered alike, so that it cannot be tested. */
  readonly credential?: boolean
  /** Returns how the request names its tenant here, or undefined when it says nothing. Throws when what it says is no good. */
  find(request: CheckedRequest): TenantKey | undefined | Promise<TenantKey | undefined>
}
