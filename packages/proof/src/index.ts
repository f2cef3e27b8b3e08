/**
 * Shows that tenants are isolated, for your own schema.
 *
 * `diagnose` asks the catalog, `verify` attacks a scratch copy, `mutate` tears holes into the copy and asks both. Each of
 * them is tested by what it must find: a zero without a positive control is not a result.
 */

// Doctor
export { type Baseline, type BaselineEntry, newBaseline, parseBaseline } from './doctor/baseline.ts'
export { type DiagnoseOptions, type Diagnosis, diagnose } from './doctor/diagnose.ts'
export { type FixMigration, writeFixMigration } from './doctor/fix-migration.ts'
export type { Rule } from './doctor/rule.ts'
export { ALL_RULES } from './doctor/rules.ts'
export type { Survey, SurveyOptions } from './doctor/survey.ts'
// Fuzzing and injection
export type { FuzzFailure } from './fuzz/campaign.ts'
export { type FuzzOptions, type FuzzReport, fuzz } from './fuzz/fuzz.ts'
export { type InjectOptions, inject } from './inject/inject.ts'
export type { InjectionReport } from './inject/injection-report.ts'
// Mutations
export { type MutateOptions, type MutationReport, mutate } from './mutate/mutate.ts'
export type { Mutation } from './mutate/mutations.ts'
// Reports
export { type AuditInput, writeAudit } from './report/audit.ts'
export type { Finding, Severity } from './report/finding.ts'
export { type JunitCase, toJunit } from './report/junit.ts'
export { type SarifInput, type SarifLog, toSarif } from './report/sarif.ts'
// Verify
export type { Attack, LaterSurface, Residual } from './verify/attack.ts'
export { ATTACKS, LATER_SURFACES, RESIDUALS } from './verify/attacks.ts'
export type { VerifyModel } from './verify/placing.ts'
export { type Stage, setStage } from './verify/stage.ts'
export {
  attackStage,
  type Verdict,
  type VerifiedCell,
  type VerifyOptions,
  type VerifyReport,
  verify,
} from './verify/verify.ts'
export { type LiveCell, type LiveReport, type VerifyLiveOptions, verifyLive } from './verify/verify-live.ts'
export { verifyModel } from './verify/verify-model.ts'
export { type AttackLine, attackLines, verifyToJunit, verifyToSarif } from './verify/verify-report.ts'
