/** Tables of the tenants; those with unit scope show a branch manager the rows of that branch only. */
export const TENANT_TABLES = [
  { name: 'branch' },
  { name: 'app_user' },
  { name: 'setting' },
  { name: 'counter' },
  { name: 'customer' },
  { name: 'rate' },
  { name: 'quote', unitScope: true },
  { name: 'shipment', unitScope: true },
  { name: 'container', unitScope: true },
  { name: 'leg', unitScope: true },
  { name: 'document', unitScope: true },
  { name: 'invoice', unitScope: true },
  { name: 'invoice_line', unitScope: true },
  { name: 'event', unitScope: true },
] as const
