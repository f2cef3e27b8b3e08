/**
 * Words of the injection proof.
 *
 * A payload is one text that an attacker of tenant A gets into one statement of the application. It is made of a spot
 * (where the application concatenates), an action (what the attacker wants) and a disguise (how the action is written).
 */

/** What an action would achieve where nothing stops it, and therefore how its control has to fire. */
export type Claim =
  /** Rows of tenant B come back. */
  | 'switch'
  /** Rows of tenant B are written. */
  | 'plant'
  /** The next statement on the connection is not what it was: settings, locks, cursors, shadows. */
  | 'poison'
  /** Something runs or is read that an application's login must not reach. */
  | 'reach'
  /** PostgreSQL allows it to every login; the payload must still see A's rows only and leave nothing. */
  | 'allowed'

/** Whose words the payload is written in: the library's seal or the textbook's plain setting. */
export interface Target {
  /** Name of the setting that says whose statement it is. */
  readonly setting: string
  /** Values an attacker can come up with for it. */
  readonly values: Readonly<Record<SettingForm, string>>
  /** Id of tenant B. */
  readonly victim: string
}

export const SETTING_FORMS = [
  'forged',
  'own-mac',
  'own',
  'empty',
  'truncated',
  'bare-id',
  'expired',
  'other-epoch',
  'padded',
] as const
export type SettingForm = (typeof SETTING_FORMS)[number]

/** One thing an attacker wants, in SQL. */
export interface Action {
  readonly family: Family
  readonly name: string
  /** An expression fits into statements of others; a statement needs stacking or a place that takes whole statements. */
  readonly kind: 'expression' | 'statement'
  /** Text for a target. The same action has the same meaning against each. */
  readonly sql: (target: Target) => string
}

/** Families of actions, each with what it would achieve. */
export const FAMILIES = {
  'seal in one statement': 'switch',
  'seal for the session': 'switch',
  'seal inside XML functions': 'switch',
  'seal before a default': 'plant',
  'stacked statements': 'switch',
  role: 'reach',
  'session settings': 'poison',
  'replication role': 'reach',
  'anonymous blocks': 'poison',
  'transaction control': 'poison',
  'prepared statements': 'poison',
  'held cursors': 'poison',
  'temporary shadows': 'poison',
  'session memory': 'poison',
  'advisory locks': 'poison',
  channels: 'poison',
  'own role': 'poison',
  'data definition': 'reach',
  'server files': 'reach',
  registry: 'reach',
  'cancel and terminate': 'reach',
  'large objects': 'reach',
  'table locks and sleep': 'allowed',
  activity: 'allowed',
  catalog: 'allowed',
} as const satisfies Record<string, Claim>
export type Family = keyof typeof FAMILIES

/** One payload in its place. */
export interface Payload {
  /** Stable for a seed: the same id means the same spot, action and disguise against every target. */
  readonly id: string
  readonly spot: string
  readonly family: Family
  readonly action: string
  readonly disguise: string
  /** The whole statement as the application would send it. */
  readonly text: string
}
