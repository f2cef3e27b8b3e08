import type { TenantProfile } from '../seed/profiles.ts'

/** What the laboratory knows of a tenant, so that attacks aim at something that exists. */
export interface LabTenant {
  readonly slug: string
  readonly name: string
  readonly id: string
  /** A shipment of that tenant. */
  readonly shipmentId: string
  readonly shipmentNumber: string
  /** Finds this tenant's shipment numbers in a text; no other tenant of the laboratory has such numbers. */
  readonly numberPattern: RegExp
  /** A key that works at that tenant's own door. */
  readonly apiKey: string
}

/** Turns the format of a tenant's shipment numbers into the pattern that finds them. */
export function numberPatternOf({ formats, branches }: Pick<TenantProfile, 'formats' | 'branches'>): RegExp {
  const classes: Readonly<Record<string, string>> = {
    yyyy: '\\d{4}',
    yy: '\\d{2}',
    branch: `(?:${branches.map(({ code }) => code).join('|')})`,
  }
  const source = formats.shipment.replace(/\{([a-z]+)[^}]*\}/g, (_, name: string) => classes[name] ?? '\\d{5,}')
  return new RegExp(`(?<![A-Z0-9])${source}(?![A-Z0-9])`, 'g')
}
