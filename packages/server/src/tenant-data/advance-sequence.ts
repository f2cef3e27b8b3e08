import type pg from 'pg'

type Runner = Pick<pg.ClientBase, 'query'>

/**
 * Makes a sequence go on behind `value`, the last number given out elsewhere. Only forward: numbers it has given out since
 * are not given out again.
 *
 * @param sequence  quoted, safe to splice
 */
export async function advanceSequence(client: Runner, sequence: string, value: string): Promise<void> {
  await client.query(
    `select setval($1::regclass, $2::bigint) from ${sequence} s
      where case when s.is_called then s.last_value else s.last_value - 1 end < $2::bigint`,
    [sequence, value],
  )
}
