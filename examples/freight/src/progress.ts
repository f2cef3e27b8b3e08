/** What the demonstration is doing; `total` is unknown for steps that are one thing. */
export interface ProgressEvent {
  readonly step: 'database' | 'install' | 'schema' | 'tenants' | 'seed' | 'analyze' | 'serve' | 'ready'
  readonly done?: number
  readonly total?: number
  readonly ratePerSecond?: number
  /** Something worth a line of its own, e.g. that data of an earlier start is used. */
  readonly note?: string
}

export type ReportProgress = (event: ProgressEvent) => void
