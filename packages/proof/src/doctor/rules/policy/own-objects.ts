/** What of a database is its owner's: not PostgreSQL's, not Rowhouse's, not an extension's. */

/** True for schemas of the application; `alias` is a row of pg_namespace. */
export function ownSchema(alias: string): string {
  return `(${alias}.nspname not in ('rowhouse', 'information_schema') and ${alias}.nspname !~ '^pg_')`
}

/** True where no extension brought the object; `oid` is an expression, `catalog` the table it is in. */
export function notOfExtension(catalog: 'pg_class' | 'pg_proc' | 'pg_language', oid: string): string {
  return `not exists (select from pg_depend e
    where e.classid = '${catalog}'::regclass and e.objid = ${oid} and e.objsubid = 0 and e.deptype = 'e')`
}

/** Roles through which the application, or anybody, gets a right: `reach (oid, name)`. 0 is PUBLIC. */
export const REACH = `
reach (oid, name) as (select 0::oid, 'PUBLIC' union all select oid, name from app_role)`

/** SQL that protects a table again and keeps its unit scope: without saying so, `protect` takes that away. */
export function protectAgain(oid: string, name: string): string {
  return `format('select rowhouse.protect(%L%s);', ${name}, case when exists (
    select from pg_policy u where u.polname = 'rowhouse_unit'
       and (u.polrelid = ${oid} or u.polrelid in (select i.inhparent from pg_inherits i where i.inhrelid = ${oid})))
    then ', unit_scope => true' else '' end)`
}

/** True in a database where Rowhouse is installed. */
export const INSTALLED = `($1::jsonb->>'installed' is not null)`
