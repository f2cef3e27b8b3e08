/** How many shipments a tenant has at least, so that no page of the demonstration is empty. */
const MIN_SHIPMENTS = 20

/** Below 1, so that the largest tenant has about a fifth of all shipments among fifty, as platforms tend to see. */
const EXPONENT = 0.9

/**
 * Divides `total` shipments over `tenants` unevenly, largest first: the share of rank r falls with r to the power of 0.9.
 *
 * @returns one number per tenant; their sum is `total`
 * @throws {RangeError} when `total` gives a tenant fewer than 20
 */
export function tenantShares(total: number, tenants: number): number[] {
  if (!Number.isInteger(total) || total < tenants * MIN_SHIPMENTS) {
    throw new RangeError(
      `Cannot divide ${total} shipments over ${tenants} tenants: wanted a whole number of at least ${tenants * MIN_SHIPMENTS}`,
    )
  }
  const weights = Array.from({ length: tenants }, (_, rank) => (rank + 1) ** -EXPONENT)
  const sum = weights.reduce((left, right) => left + right, 0)
  const spare = total - tenants * MIN_SHIPMENTS
  const shares = weights.map((weight) => MIN_SHIPMENTS + Math.floor((spare * weight) / sum))
  const rest = total - shares.reduce((left, right) => left + right, 0)
  return shares.map((share, rank) => (rank === 0 ? share + rest : share))
}
