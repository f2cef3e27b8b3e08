import { type Action, SETTING_FORMS, type SettingForm, type Target } from './payload.ts'

/**
 * Actions that try to become tenant B and read or write its rows before the statement ends.
 *
 * PostgreSQL promises no order of evaluation, so each shape makes the setting run before the scan in its own way.
 */
const SHAPES: Readonly<Record<string, (set: string) => string>> = {
  subselect: (set) =>
    `(select string_agg(i.label, ',') from (select ${set} as x offset 0) s, lateral (select label from item where s.x is not null offset 0) i)`,
  CTE: (set) =>
    `(with s as materialized (select ${set} as x) select string_agg(i.label, ',') from s, lateral (select label from item where s.x is not null offset 0) i)`,
  limit: (set) =>
    `(select string_agg(z.label, ',') from (select label from item limit (select 99 + 0 * length(${set}))) z)`,
  concat: (set) => `concat(${set}, (select string_agg(label, ',') from item))`,
  case: (set) => `case when ${set} is null then '' else (select string_agg(label, ',') from item) end`,
  append: (set) => `(select string_agg(z.l, ',') from (select ${set} as l union all select label from item) z)`,
  filter: (set) => `(select string_agg(label, ',') from item where ${set} is not null)`,
  'by id': (set) => `concat(${set}, (select string_agg(label, ',') from item where id in (1, 2, 3)))`,
}

const XML: Readonly<Record<string, (set: string) => string>> = {
  'query_to_xml after set_config': (set) => `concat(${set}, query_to_xml('select label from item', true, true, ''))`,
  query_to_xml_and_xmlschema: (set) =>
    `concat(${set}, query_to_xml_and_xmlschema('select label from item', true, true, ''))`,
  table_to_xml: (set) => `concat(${set}, table_to_xml('item', true, true, ''))`,
  table_to_xml_and_xmlschema: (set) => `concat(${set}, table_to_xml_and_xmlschema('item', true, true, ''))`,
  schema_to_xml: (set) => `concat(${set}, schema_to_xml('public', true, true, ''))`,
  database_to_xml: (set) => `concat(${set}, database_to_xml(true, true, ''))`,
  'set_config inside query_to_xml': (set) =>
    `concat(query_to_xml(${quoted(`select ${set}`)}, true, true, ''), query_to_xml('select label from item', true, true, ''))`,
  'both inside query_to_xml': (set) =>
    `query_to_xml(${quoted(`select ${SHAPES.subselect?.(set) ?? set} as x`)}, true, true, '')`,
  'cursor_to_xml of nothing': (set) => `concat(${set}, cursor_to_xml('none'::refcursor, 1, true, true, ''))`,
  'ts_stat as a second executor': (set) =>
    `concat(${set}, (select string_agg(word, ',') from ts_stat('select to_tsvector(''simple'', label) from item')))`,
}

export const SWITCH_ACTIONS: readonly Action[] = [
  ...SETTING_FORMS.flatMap((form) =>
    Object.entries(SHAPES).flatMap(([shape, write]): Action[] => [
      {
        family: 'seal in one statement',
        name: `${form}, ${shape}`,
        kind: 'expression',
        sql: (target) => write(set(target, form, true)),
      },
      {
        family: 'seal for the session',
        name: `${form}, ${shape}`,
        kind: 'expression',
        sql: (target) => write(set(target, form, false)),
      },
    ]),
  ),
  ...(['forged', 'own-mac', 'expired'] as const).flatMap((form) =>
    Object.entries(XML).map(
      ([name, write]): Action => ({
        family: 'seal inside XML functions',
        name: `${form}, ${name}`,
        kind: 'expression',
        sql: (target) => write(set(target, form, true)),
      }),
    ),
  ),
  ...SETTING_FORMS.flatMap((form): Action[] => [
    statement('seal before a default', `${form}, INSERT … SELECT`, (target) => {
      const source = `(select ${set(target, form, true)} as x offset 0) s`
      return `insert into note (label) select 'planted' from ${source} where s.x is not null or s.x is null`
    }),
    statement(
      'seal before a default',
      `${form}, CTE`,
      (target) =>
        `with s as materialized (select ${set(target, form, true)} as x) insert into note (label) select 'planted' || length(x) from s returning label`,
    ),
    statement(
      'stacked statements',
      `${form}, set_config`,
      (target) => `select ${set(target, form, true)}; select label from item`,
    ),
    statement(
      'stacked statements',
      `${form}, SET`,
      (target) => `set ${target.setting} = ${quoted(target.values[form])}; select label from item`,
    ),
    statement(
      'stacked statements',
      `${form}, SET LOCAL`,
      (target) => `set local ${target.setting} to ${quoted(target.values[form])}; table item`,
    ),
    statement(
      'stacked statements',
      `${form}, DO`,
      (target) => `do $x$ begin perform ${set(target, form, false)}; end $x$; select * from item`,
    ),
  ]),
]

function statement(family: Action['family'], name: string, sql: Action['sql']): Action {
  return { family, name, kind: 'statement', sql }
}

function set(target: Target, form: SettingForm, local: boolean): string {
  return `set_config('${target.setting}', ${quoted(target.values[form])}, ${local})`
}

function quoted(value: string): string {
  return `'${value.replaceAll("'", "''")}'`
}
