/** The control plane of Rowhouse. This file is the table of contents. */

// Hooks: webhooks, out and in
export type { AddressLookup } from './hooks/address-guard.ts'
export { type BillingEvent, parseBillingEvent, SUBSCRIBED_EVENT } from './hooks/billing-event.ts'
// Hooks: names in DNS
export {
  type DnsEntry,
  type DnsProvider,
  type DnsRecord,
  type DnsTarget,
  type DnsType,
  ownerMark,
} from './hooks/dns-provider.ts'
export { type DnsStepOptions, dnsStep } from './hooks/dns-step.ts'
export { type Rfc2136Options, rfc2136Provider } from './hooks/rfc2136.ts'
export { type WebhookEvents, type WebhookStepOptions, webhookStep } from './hooks/webhook.ts'
export {
  type VerifiedWebhook,
  type VerifyOptions,
  verifyWebhook,
  type WebhookHeaders,
} from './hooks/webhook-signature.ts'
// Provisioning
export { type ProvisioningStep, requireStepName, type StepContext, type StepTenant } from './provision/step.ts'
