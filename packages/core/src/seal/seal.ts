import { createHash } from 'node:crypto'
import type { TenantContext } from '../context/tenant-context.ts'
import type { Tenant } from '../tenant/tenant.ts'
import type { RootKey, TenantKey } from './tenant-key.ts'

/**
 * How long a seal is valid, and how early it is made anew.
 *
 * A seal can end up in a server log (logged parameters). After LIFETIME it is worthless there. It is made anew
 * when half of it is over, so the database's clock may run up to 7.5 minutes ahead of ours.
 */
const LIFETIME_S = 15 * 60
const RENEW_BEFORE_S = LIFETIME_S / 2

/** Actors are names, not documents; the limit keeps the setting small on every statement. */
const MAX_ACTOR_LENGTH = 200
/** 200 units are 7 KB on every statement; a wider scope should be "all units". */
const MAX_UNITS = 200

/** The context as text that PostgreSQL can check: MAC, tenant, epoch, key version, expiry, units, actor. */
export type SealedText = string & { readonly __sealed: true }

export interface Seal {
  readonly text: SealedText
  readonly tenant: Tenant
  /** Unix seconds after which the database refuses it. */
  readonly expiresAtS: number
}

/** Makes seals and remembers them per context object, so that a request computes its HMAC once. */
export class Sealer {
  readonly #rootKey: RootKey
  readonly #nowS: () => number
  readonly #seals = new WeakMap<TenantContext, Seal>()
  /** Keys by tenant object: a tenant looked up again after a rotation is a new object and gets its new key. */
  readonly #keys = new WeakMap<Tenant, TenantKey>()
  readonly #lockKeys = new WeakMap<Tenant, string>()
  readonly #successors = new WeakMap<Tenant, Tenant>()

  constructor(rootKey: RootKey, nowS: () => number = () => Math.floor(Date.now() / 1000)) {
    this.#rootKey = rootKey
    this.#nowS = nowS
  }

  /**
   * Returns the seal of a context.
   *
   * @throws {TypeError} when actor or units cannot be sealed
   */
  seal(context: TenantContext): Seal {
    const tenant = this.currentTenant(context.tenant)
    const nowS = this.#nowS()
    const known = this.#seals.get(context)
    if (known !== undefined && known.tenant === tenant && known.expiresAtS - nowS > RENEW_BEFORE_S) return known
    const seal = makeSeal(context, tenant, this.#keyOf(tenant), nowS + LIFETIME_S)
    this.#seals.set(context, seal)
    return seal
  }

  /** Returns the tenant's advisory lock as PostgreSQL's bigint, in text. */
  lockKey(tenant: Tenant): string {
    let key = this.#lockKeys.get(tenant)
    if (key === undefined) {
      key = this.#rootKey.deriveLockKey(tenant.id)
      this.#lockKeys.set(tenant, key)
    }
    return key
  }

  /** From now on, contexts that hold `stale` are sealed as `fresh`: epoch or key changed while they were running. */
  replaceTenant(stale: Tenant, fresh: Tenant): void {
    this.#successors.set(stale, fresh)
  }

  /** Returns what is known now of a context's tenant. */
  currentTenant(tenant: Tenant): Tenant {
    return this.#successors.get(tenant) ?? tenant
  }

  #keyOf(tenant: Tenant): TenantKey {
    let key = this.#keys.get(tenant)
    if (key === undefined) {
      key = this.#rootKey.deriveTenantKey(tenant.id, tenant.keyVersion)
      this.#keys.set(tenant, key)
    }
    return key
  }
}

/** The layout is described once, at the view `rowhouse.sealed` in `sql/000001-foundation.sql`. */
function makeSeal(context: TenantContext, tenant: Tenant, key: TenantKey, expiresAtS: number): Seal {
  const body =
    tenant.id +
    fixedDigits(tenant.epoch, 9) +
    fixedDigits(tenant.keyVersion, 6) +
    fixedDigits(expiresAtS, 10) +
    `${unitsText(context)}|${actorText(context)}`
  const inner = createHash('sha256').update(key.ipad).update(body).digest()
  const mac = createHash('sha256').update(key.opad).update(inner).digest('hex')
  return { text: (mac + body) as SealedText, tenant, expiresAtS }
}

function fixedDigits(value: number, width: number): string {
  const digits = String(value)
  if (!Number.isSafeInteger(value) || value < 0 || digits.length > width) {
    throw new RangeError(`Cannot seal the number ${value}: wanted a whole number of at most ${width} digits`)
  }
  return digits.padStart(width, '0')
}

function unitsText({ units }: TenantContext): string {
  if (units === undefined) return '*'
  if (units.length > MAX_UNITS) {
    throw new RangeError(`Cannot seal ${units.length} units: wanted at most ${MAX_UNITS}; leave units out to allow all`)
  }
  return units.join(',')
}

function actorText({ actor }: TenantContext): string {
  if (actor === undefined) return ''
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a NUL would end the setting early and change what is sealed
  if (actor.length > MAX_ACTOR_LENGTH || /[\u0000-\u001f\u007f]/.test(actor)) {
    throw new TypeError(
      `Cannot seal this actor: wanted at most ${MAX_ACTOR_LENGTH} characters and no control characters`,
    )
  }
  return actor
}
