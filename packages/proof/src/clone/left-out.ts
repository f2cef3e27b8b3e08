/** What a scratch copy does not get, with the reason: named in every report, because nobody attacked it there. */

const ELSEWHERE = 'its rows are on another server, where no scratch copy may go: doctor rule L19 judges it'
const OUTSIDE = 'it leads out of the scratch database: the doctor judges it'
const HIDDEN = 'this kind of object is not copied; what needs it is missing, too'

/** Catalog, condition on its row `x`, reason. */
const KINDS: readonly (readonly [catalog: string, condition: string, reason: string])[] = [
  ['pg_class', `x.relkind = 'f'`, ELSEWHERE],
  ['pg_foreign_server', 'true', ELSEWHERE],
  ['pg_foreign_data_wrapper', 'true', ELSEWHERE],
  ['pg_user_mapping', 'true', ELSEWHERE],
  ['pg_publication', 'true', OUTSIDE],
  ['pg_subscription', 'x.subdbid = (select d.oid from pg_database d where d.datname = current_database())', OUTSIDE],
  ['pg_event_trigger', 'true', 'it would run at every change of the scratch database'],
  ['pg_type', `x.typtype = 'b' and x.typcategory <> 'A'`, HIDDEN],
  ['pg_language', 'true', HIDDEN],
  ['pg_cast', 'true', HIDDEN],
  ['pg_conversion', 'true', HIDDEN],
  ['pg_opclass', 'true', HIDDEN],
  ['pg_opfamily', 'true', HIDDEN],
  ['pg_am', 'true', HIDDEN],
  ['pg_transform', 'true', HIDDEN],
  ['pg_ts_config', 'true', HIDDEN],
  ['pg_ts_dict', 'true', HIDDEN],
  ['pg_ts_parser', 'true', HIDDEN],
  ['pg_ts_template', 'true', HIDDEN],
  ['pg_proc', `x.prokind = 'a' and (select g.aggkind <> 'n' from pg_aggregate g where g.aggfnoid = x.oid)`, HIDDEN],
]

const FIRST_OID_OF_USERS = 16_384

/** One row per object that is left out: its name and the reason. */
export const LEFT_OUT_SQL = KINDS.map(
  ([catalog, condition, reason]) => `
  select i.type || ' ' || i.identity as object, '${reason}' as reason
    from ${catalog} x, pg_identify_object('${catalog}'::regclass, x.oid, 0) i
   where x.oid >= ${FIRST_OID_OF_USERS} and ${condition}
     and not exists (select from pg_depend d where d.classid = '${catalog}'::regclass and d.objid = x.oid and d.deptype in ('e', 'i'))`,
).join(' union all ')
