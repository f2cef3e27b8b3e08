/** What the laboratory knows of a tenant, so that attacks aim at something that exists. */
export interface LabTenant {
  readonly slug: string
  readonly name: string
  readonly id: string
  /** A shipment of that tenant. */
  readonly shipmentId: string
  readonly shipmentNumber: string
  /** A key that works at that tenant's own door. */
  readonly apiKey: string
}
