/** The control plane of Rowhouse. This file is the table of contents. */

// Choosing a model
export { type Advice, advise, type ServersNeeded, type TradeOff } from './advise/advise.ts'
export type { Capacity } from './advise/capacity.ts'
export { type DecisionRecordOptions, writeDecisionRecord } from './advise/decision-record.ts'
export { COMPLIANCE, type ComplianceProfile, type Facts, requireFacts, type Spread } from './advise/facts.ts'
export { MEASURED_COSTS, type MeasuredCosts, type ModelCosts } from './advise/measured-costs.ts'
export { type Answers, factsFromAnswers, parseAnswer, QUESTIONS, type Question } from './advise/questions.ts'
export { type FactsFromDatabase, type ReadFactsOptions, readFacts } from './advise/read-facts.ts'
export type { TableReading } from './advise/read-table.ts'
export type { ClassAdvice, Reason } from './advise/tenant-classes.ts'

// Backups of one tenant
export {
  ARTEFACT_FILE,
  ARTEFACT_NAME,
  type ArtefactStore,
  type ArtefactWriter,
  MANIFEST,
} from './backup/artefact-store.ts'
export { type Backups, type BackupsOptions, type ListedBackup, openBackups } from './backup/backups.ts'
export type { BackupOptions, BackupReport, TableProgress } from './backup/create-backup.ts'
export type { TableDiff } from './backup/diff-backup.ts'
export type { DrillReport } from './backup/drill-backup.ts'
export type { ExportFormat, ExportReport } from './backup/export-tenant.ts'
export { type ExportToFolderOptions, exportToFolder } from './backup/export-to-folder.ts'
export { folderStore } from './backup/folder-store.ts'
export type { FileSink } from './backup/frames.ts'
export type { KeepFailure, KeepOptions, KeepReport, KeptTenant } from './backup/keep-backups.ts'
export type { MergedTable, MergeOptions } from './backup/merge-backup.ts'
export type { RestoreOptions, RestoreReport } from './backup/restore-backup.ts'
export type { PruneReport, Retention } from './backup/retention.ts'
// The control plane
export { defineConfig, findConfig, type LoadedConfig, type RowhouseConfig } from './config.ts'
export {
  type ControlPlane,
  type ControlPlaneOptions,
  openControlPlane,
  type ProvisionedTenant,
} from './control-plane.ts'
// Migrations of the fleet
export { type DriftedHome, type DriftOptions, type DriftReport, findDrift } from './fleet/drift.ts'
export type { FleetEvent, FleetReport, HomeFailure, HomeLeft } from './fleet/fleet-events.ts'
export type { FleetHome } from './fleet/fleet-homes.ts'
export { freezeHome, thawHome } from './fleet/freeze.ts'
export { nameOfHome } from './fleet/homes.ts'
export { type LintFinding, type LintOptions, lintMigration, lintMigrations } from './fleet/lint.ts'
export { type MigratedHome, type MigrateHomeOptions, migrateHome } from './fleet/migrate-home.ts'
export { type ReadMigrationsOptions, readMigrations } from './fleet/migration-folder.ts'
export type { Difference, RepairPlan } from './fleet/repair.ts'
export { repairHome } from './fleet/repair-home.ts'
export {
  type FleetOrder,
  type FleetPlan,
  type MigrateFleetOptions,
  migrateUp,
  planMigrations,
  resumeFleet,
} from './fleet/run.ts'
export { type FleetRunRecord, type FleetStatus, fleetStatus } from './fleet/status.ts'
export { DEFAULT_WAVES, type Wave, type WaveRule, type WaveSelector } from './fleet/waves.ts'
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
// The life of a tenant
export {
  type CertificateVerdict,
  type EraseCertificate,
  type Remainder,
  type SealedCertificate,
  verifyCertificate,
} from './lifecycle/certificate.ts'
export type { EraseRequest, KeptDays } from './lifecycle/erase-request.ts'
export type { LegalHold, LiftRequest } from './lifecycle/legal-hold.ts'
export type { Lifecycle, LifecycleFacts } from './lifecycle/lifecycle.ts'
export type { ExportTenant, LeavingTenant, Offboarded, OffboardRequest } from './lifecycle/offboard.ts'
export type { RegionChange } from './lifecycle/set-region.ts'
export type { SuspendRequest } from './lifecycle/suspend.ts'
export { SUSPENSION_KINDS, type SuspensionKind } from './lifecycle/who-and-why.ts'
export type { TenantCosts } from './move/bulk/bulk-costs.ts'
export type { BulkMoves, BulkOutcome } from './move/bulk/bulk-moves.ts'
export type { BulkRecord, BulkState, BulkTenant } from './move/bulk/bulk-record.ts'
export type { BulkRequest, BulkStart } from './move/bulk/bulk-request.ts'
export type { BulkPlan, BulkPlanTenant, LeftOut } from './move/bulk/plan-bulk.ts'
export type { MoveRequest } from './move/enter-move.ts'
// Moves
export type { MoveHome, MoveProgress, MoveRecord, MoveState } from './move/move-record.ts'
export type { MovePlan, Moves } from './move/moves.ts'
// Placement rules
export {
  choosePlacement,
  explainPlacement,
  type PlacementChoice,
  type PlacementExplanation,
} from './placing/choose-placement.ts'
export {
  type CompiledRule,
  type CompiledRules,
  type CompileOptions,
  compilePlacementRules,
} from './placing/compile-rules.ts'
export type { RuleVerdict } from './placing/decide-target.ts'
export type { OperatorWish, PlacementRequest, ServerNow, TenantToPlace } from './placing/placement-request.ts'
export {
  type Model,
  type PlacementRule,
  type PlacementRules,
  type PlacementTarget,
  parsePlacementRules,
  requirePlacementRules,
  type ServerKind,
  type Vocabulary,
} from './placing/placement-rules.ts'
// Provisioning
export type { StepEvent } from './provision/provisioning.ts'
export type { ProvisioningRequest } from './provision/provisioning-request.ts'
export { type ProvisioningStep, requireStepName, type StepContext, type StepTenant } from './provision/step.ts'
export { type TenantClient, type TenantStep, type TenantStepOptions, tenantStep } from './provision/tenant-step.ts'
export type { Orphan } from './registry/find-orphans.ts'
export { openRegistry, type Registry } from './registry/open-registry.ts'
export { type DatabaseAddress, type HomeAddress, OperatorConnections } from './registry/operator-connections.ts'
export type { RegisteredServer, ServerToAdd } from './registry/servers.ts'
