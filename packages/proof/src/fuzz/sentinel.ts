import { ACTING, OWN_UNITS, STORED } from './fixture.ts'

/** SQLSTATE of a statement that wrote a row which is not the acting tenant's, or not in its units. */
export const FOREIGN_WRITE = 'RHF01'

/**
 * Returns triggers that fail whatever writes a row of another tenant, or of another unit than those of the context.
 *
 * Statements are rolled back, so that each meets the same rows; comparing the others' rows afterwards would see nothing
 * then. The triggers see each row as it is written, also those that foreign keys write. Their conditions are plain
 * comparisons with constants: no function runs unless something is wrong, and they hold in both databases alike.
 */
export function sentinelSql(): string {
  const units = OWN_UNITS.map((unit) => `'${unit}'::uuid`).join(', ')
  const limited = `substr(current_setting('rowhouse.seal', true), 126, 1) <> '*'`
  const foreign = (row: 'old' | 'new', scoped: boolean) =>
    `${row}.tenant_id <> '${ACTING.id}'::uuid${scoped ? ` or (${limited} and ${row}.unit_id <> all (array[${units}]))` : ''}`
  const triggers = STORED.flatMap((table) => {
    const scoped = table === 'note' || table === 'attachment'
    const trigger = (name: string, event: string, condition: string) =>
      `create trigger ${name} after ${event} on ${table} for each row when (${condition}) execute function foreign_write();`
    return [
      trigger('sentinel_insert', 'insert', foreign('new', scoped)),
      trigger('sentinel_update', 'update', `${foreign('old', scoped)} or ${foreign('new', scoped)}`),
      trigger('sentinel_delete', 'delete', foreign('old', scoped)),
    ]
  })
  return `create function foreign_write() returns trigger language plpgsql as $$
    begin raise exception 'a row of another tenant or unit was written in %', tg_table_name using errcode = '${FOREIGN_WRITE}'; end $$;
    ${triggers.join('\n')}`
}
