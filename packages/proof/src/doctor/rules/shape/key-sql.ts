/** Pieces of SQL that write keys the way they should be. All text is made from the catalog, none from definitions. */

/** The columns `numbers` of `relation` in that order, quoted, as one text. Null where there are none. */
export function columnList(relation: string, numbers: string): string {
  return `(select string_agg(quote_ident(cl.attname), ', ' order by cn.place)
    from unnest(${numbers}) with ordinality cn (number, place)
    join pg_attribute cl on cl.attrelid = ${relation} and cl.attnum = cn.number)`
}

/**
 * Text of a foreign key with the tenant first on both sides.
 *
 * SET NULL and SET DEFAULT name the columns they clear, or they would clear the tenant. MATCH FULL is left out: the
 * tenant is never null, so it would forbid references that are empty.
 *
 * @param key  alias of a row of `pg_constraint`
 * @param here, there  expressions: number of the tenant column on either side
 */
export function foreignKeyWithTenant(key: string, here: string, there: string): string {
  const cleared = columnList(`${key}.conrelid`, `coalesce(nullif(${key}.confdelsetcols, '{}'), ${key}.conkey)`)
  return `format('foreign key (%s) references %s (%s)%s%s%s',
    ${columnList(`${key}.conrelid`, `${here} || ${key}.conkey`)},
    (select format('%I.%I', rn.nspname, rc.relname) from pg_class rc join pg_namespace rn on rn.oid = rc.relnamespace where rc.oid = ${key}.confrelid),
    ${columnList(`${key}.confrelid`, `${there} || ${key}.confkey`)},
    case ${key}.confupdtype when 'c' then ' on update cascade' when 'r' then ' on update restrict' else '' end,
    case ${key}.confdeltype when 'c' then ' on delete cascade' when 'r' then ' on delete restrict'
      when 'n' then format(' on delete set null (%s)', ${cleared}) when 'd' then format(' on delete set default (%s)', ${cleared}) else '' end,
    case when ${key}.condeferrable then ' deferrable' else '' end || case when ${key}.condeferred then ' initially deferred' else '' end)`
}

/** True where `relation` has a unique key over exactly the columns `numbers`, in any order. */
export function hasUniqueKey(relation: string, numbers: string): string {
  return `exists (select from pg_index ux
    where ux.indrelid = ${relation} and ux.indisunique and ux.indisvalid and ux.indpred is null and ux.indexprs is null
      and (select array_agg(ua order by ua) from unnest((ux.indkey::smallint[])[0:ux.indnkeyatts - 1]) ua)
        = (select array_agg(ub order by ub) from unnest(${numbers}) ub))`
}
