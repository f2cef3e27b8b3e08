import { access, constants, readFile } from 'node:fs/promises'
import { dirname, extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ConfigError, type PlanShare } from 'rowhouse'
import { arrangeWaves, type WaveRule } from './fleet/waves.ts'
import type { ExportTenant } from './lifecycle/offboard.ts'
import { type PlacementRules, requirePlacementRules } from './placing/placement-rules.ts'
import { type ProvisioningStep, requireStepName } from './provision/step.ts'
import type { TenantStep } from './provision/tenant-step.ts'

/** What a project says once about its platform, for commands and for its own code. Holds no secrets: those come by environment or file. */
export interface RowhouseConfig {
  /** Folder of the application's migrations, relative to the file this stands in. @defaultValue none */
  readonly migrations?: string
  /** Where new tenants go. @defaultValue pooled, on the server with the least load */
  readonly rules?: PlacementRules
  /** The platform's own steps of provisioning, in order. */
  readonly steps?: readonly (ProvisioningStep | TenantStep)[]
  /** In which order migrations reach the fleet. @defaultValue canary tenants, shared tables, then 1 %, 10 % and all of the rest */
  readonly waves?: readonly WaveRule[]
  /** What one tenant of a plan may take of a process: give them to `createRowhouse` as well. */
  readonly plans?: Readonly<Record<string, PlanShare>>
  /** Exports a tenant that leaves, and returns where its data are. @defaultValue none: tenants leave without an export */
  readonly exportTenant?: ExportTenant
}

/** Names a configuration may have in the folder of a project. */
const CONFIG_FILES = ['rowhouse.config.mjs', 'rowhouse.config.js', 'rowhouse.config.json'] as const

/** A configuration that was read. */
export interface LoadedConfig extends RowhouseConfig {
  /** Path of the file. */
  readonly file: string
}

/**
 * Returns `config`: lets an editor complete and check the configuration of a project.
 *
 * @example
 * ```ts
 * import { defineConfig } from 'rowhouse-server'
 * const config = defineConfig({ migrations: 'migrations', rules: { rules: [], default: { model: 'pooled' } } })
 * console.assert(config.migrations === 'migrations')
 * ```
 */
export function defineConfig(config: RowhouseConfig): RowhouseConfig {
  return config
}

/**
 * Reads the configuration of a project: the default export of `rowhouse.config.mjs` or `.js`, or a `.json` file, which can
 * hold no steps.
 *
 * @param folder where to look, and what `file` is relative to
 * @param file path somebody named; then nothing else is looked for
 * @returns undefined when nobody named a file and the folder has none; `migrations` is absolute
 * @throws {ConfigError} `ERR_CONFIG_INVALID` for a file that is not there, cannot be loaded, or says something unknown. The
 *   text of values is not part of messages
 * @example
 * ```ts
 * import { findConfig, openControlPlane } from 'rowhouse-server'
 * const config = await findConfig(process.cwd())
 * const plane = await openControlPlane({ url: process.env.ROWHOUSE_ADMIN_URL, rootKey: process.env.ROWHOUSE_ROOT_KEY, ...config })
 * await plane.close()
 * ```
 */
export async function findConfig(folder: string, file?: string): Promise<LoadedConfig | undefined> {
  if (file !== undefined) return loadConfig(resolve(folder, file))
  const found: string[] = []
  for (const name of CONFIG_FILES) {
    const path = resolve(folder, name)
    if (await isThere(path)) found.push(path)
  }
  const [first, second] = found
  if (second !== undefined) throw refuse(`${first}" and "${second}`, 'there are two; keep one, or name one')
  return first === undefined ? undefined : loadConfig(first)
}

async function loadConfig(file: string): Promise<LoadedConfig> {
  const extension = extname(file)
  if (!['.mjs', '.js', '.json'].includes(extension))
    throw refuse(file, `the ending "${extension}" is not known; wanted .mjs, .js or .json`)
  if (!(await isThere(file))) throw refuse(file, 'there is no such file, or it cannot be read')
  const config = requireConfig(extension === '.json' ? await readJson(file) : await importDefault(file), file)
  const { migrations } = config
  return { ...config, ...(migrations !== undefined && { migrations: resolve(dirname(file), migrations) }), file }
}

async function isThere(file: string): Promise<boolean> {
  return access(file, constants.R_OK).then(
    () => true,
    () => false,
  )
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch (cause) {
    // What stands at the place of the mistake is part of the parser's message, and may be anything.
    throw refuse(file, 'the text is no JSON', cause)
  }
}

async function importDefault(file: string): Promise<unknown> {
  let module: { readonly default?: unknown }
  try {
    module = await import(pathToFileURL(file).href)
  } catch (cause) {
    const { name, message } = cause as Error
    throw refuse(file, `it cannot be loaded, ${name}: ${message}`, cause)
  }
  if (module.default === undefined)
    throw refuse(file, 'it exports nothing by default; wanted "export default defineConfig({ … })"')
  return module.default
}

const FIELDS = ['migrations', 'rules', 'steps', 'waves', 'plans', 'exportTenant']

function requireConfig(value: unknown, file: string): RowhouseConfig {
  if (!isRecord(value)) throw refuse(file, `it is ${kindOf(value)}; wanted an object`)
  for (const field of Object.keys(value))
    if (!FIELDS.includes(field)) throw refuse(file, `unknown field "${field}"; wanted ${FIELDS.join(', ')}`)
  const { migrations, rules, steps, waves, plans, exportTenant } = value
  if (migrations !== undefined && (typeof migrations !== 'string' || migrations === ''))
    throw refuse(file, `field "migrations" is ${kindOf(migrations)}; wanted the path of a folder`)
  if (rules !== undefined) requirePlacementRules(rules, file)
  if (steps !== undefined) requireSteps(steps, file)
  if (waves !== undefined) requireWaves(waves, file)
  if (plans !== undefined) requirePlans(plans, file)
  if (exportTenant !== undefined && typeof exportTenant !== 'function')
    throw refuse(file, `field "exportTenant" is ${kindOf(exportTenant)}; wanted a function`)
  return value as RowhouseConfig
}

function requireSteps(steps: unknown, file: string): void {
  if (!Array.isArray(steps)) throw refuse(file, `field "steps" is ${kindOf(steps)}; wanted a list of steps`)
  steps.forEach((step: unknown, index) => {
    const at = `step ${index + 1}`
    if (!isRecord(step)) throw refuse(file, `${at} is ${kindOf(step)}; wanted an object with name, check, do and undo`)
    if (typeof step.name !== 'string') throw refuse(file, `${at} has no name; wanted lower-case words with hyphens`)
    try {
      requireStepName(step.name)
    } catch (cause) {
      throw refuse(file, `${at}: ${(cause as Error).message}`, cause)
    }
    for (const method of ['check', 'do', 'undo'])
      if (typeof step[method] !== 'function')
        throw refuse(file, `step "${step.name}": "${method}" is ${kindOf(step[method])}; wanted a function`)
  })
}

const WAVE_FIELDS: Readonly<Record<keyof WaveRule, (value: unknown) => boolean>> = {
  name: (value) => typeof value === 'string' && value !== '',
  where: (value) =>
    isRecord(value) &&
    Object.entries(value).every(([fact, wanted]) => SELECTABLE.includes(fact) && typeof wanted === 'string'),
  portions: (value) => Array.isArray(value) && value.every((portion) => typeof portion === 'number'),
  strict: (value) => typeof value === 'boolean',
}
const SELECTABLE = ['ring', 'plan', 'region', 'server', 'model']

function requireWaves(waves: unknown, file: string): void {
  if (!Array.isArray(waves)) throw refuse(file, `field "waves" is ${kindOf(waves)}; wanted a list of waves`)
  waves.forEach((wave: unknown, index) => {
    const at = `wave ${index + 1}`
    if (!isRecord(wave)) throw refuse(file, `${at} is ${kindOf(wave)}; wanted an object with a name`)
    if (wave.name === undefined) throw refuse(file, `${at} has no name`)
    for (const [field, value] of Object.entries(wave)) {
      const isValid = WAVE_FIELDS[field as keyof WaveRule]
      if (isValid === undefined)
        throw refuse(file, `${at}: unknown field "${field}"; wanted ${Object.keys(WAVE_FIELDS).join(', ')}`)
      if (!isValid(value))
        throw refuse(
          file,
          `${at}: field "${field}" cannot be used; a wave is { name, where: { ${SELECTABLE.join(', ')} }, portions, strict }`,
        )
    }
  })
  try {
    arrangeWaves([], waves as WaveRule[])
  } catch (cause) {
    throw refuse(file, (cause as Error).message, cause)
  }
}

function requirePlans(plans: unknown, file: string): void {
  if (!isRecord(plans)) throw refuse(file, `field "plans" is ${kindOf(plans)}; wanted an object`)
  for (const [plan, share] of Object.entries(plans)) {
    const most = isRecord(share) ? share.maxConcurrent : undefined
    if (!isRecord(share) || (most !== undefined && !(Number.isSafeInteger(most) && (most as number) >= 1)))
      throw refuse(file, `plan "${plan}": wanted { maxConcurrent } with a whole number from 1 on`)
    for (const field of Object.keys(share))
      if (field !== 'maxConcurrent')
        throw refuse(file, `plan "${plan}": unknown field "${field}"; wanted maxConcurrent`)
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Says what a value is without saying it: somebody may have put a secret where it does not belong. */
function kindOf(value: unknown): string {
  if (value === undefined) return 'missing'
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  return value === '' ? 'empty' : `of type ${typeof value}`
}

function refuse(file: string, fault: string, cause?: unknown): ConfigError {
  return new ConfigError('ERR_CONFIG_INVALID', `Cannot use the configuration "${file}": ${fault}`, { cause })
}
