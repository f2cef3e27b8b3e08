/** Rules for ESLint and oxlint that keep application code inside its tenant. */

import type { ESLint, Linter, Rule } from 'eslint'
import { noCallbackQuery } from './rules/no-callback-query.ts'
import { noInterpolatedSql } from './rules/no-interpolated-sql.ts'
import { noModuleLevelTenantCache } from './rules/no-module-level-tenant-cache.ts'
import { noRawPool } from './rules/no-raw-pool.ts'
import { noSessionState } from './rules/no-session-state.ts'
import { noTenantFromInput } from './rules/no-tenant-from-input.ts'
import { noUnscopedContext } from './rules/no-unscoped-context.ts'
import { requireCrossTenantReason } from './rules/require-cross-tenant-reason.ts'

const rules = {
  'no-callback-query': noCallbackQuery,
  'no-interpolated-sql': noInterpolatedSql,
  'no-module-level-tenant-cache': noModuleLevelTenantCache,
  'no-raw-pool': noRawPool,
  'no-session-state': noSessionState,
  'no-tenant-from-input': noTenantFromInput,
  'no-unscoped-context': noUnscopedContext,
  'require-cross-tenant-reason': requireCrossTenantReason,
} satisfies Record<string, Rule.RuleModule>

interface RowhousePlugin extends ESLint.Plugin {
  readonly meta: { readonly name: string; readonly version: string }
  readonly rules: Record<keyof typeof rules, Rule.RuleModule>
  readonly configs: {
    /** All rules as errors, for flat configuration. */
    readonly recommended: Linter.Config
  }
}

const recommended: Linter.Config = {
  name: 'rowhouse/recommended',
  // A getter, because the plugin and its configuration contain each other.
  plugins: {
    get rowhouse() {
      return plugin
    },
  },
  rules: Object.fromEntries(Object.keys(rules).map((name) => [`rowhouse/${name}`, 'error' as const])),
}

/**
 * The plugin `rowhouse`: eight rules that need no types, for JavaScript and TypeScript.
 *
 * Each finds one way in which code leaves its tenant although the database holds. A rule judges by names and by what
 * one file shows; what it cannot see it does not report.
 *
 * @example
 * ```js
 * // eslint.config.js
 * import rowhouse from 'eslint-plugin-rowhouse'
 * export default [{ files: ['src/**'], ...rowhouse.configs.recommended }]
 * ```
 * @see docs/guides/lint.md
 */
const plugin: RowhousePlugin = {
  meta: { name: 'eslint-plugin-rowhouse', version: '0.1.0' },
  rules,
  configs: { recommended },
}

// biome-ignore lint/style/noDefaultExport: ESLint's users import plugins so, and oxlint loads nothing else
export default plugin
