/** Table of contents of `rowhouse-proof`. */

export { type Examination, examine } from './doctor/examine.ts'
export type { Rule } from './doctor/rule.ts'
export { type Survey, type SurveyOptions, takeSurvey } from './doctor/survey.ts'
export type { Finding, Severity } from './report/finding.ts'
