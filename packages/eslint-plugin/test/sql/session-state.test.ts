import { describe, expect, it } from 'vitest'
import { findSessionState } from '../../src/sql/session-state.ts'
import { readSqlTokens } from '../../src/sql/tokens.ts'

describe('readSqlTokens()', () => {
  it('keeps keywords out of comments, strings and quoted names', () => {
    const tokens = readSqlTokens(`select 'a''b' "c""d" e'f\\'g' $$h$$ $i$j$$k$i$ -- l\n /* m /* n */ o */ P.q1`)
    expect(tokens.map(({ kind, text }) => `${kind} ${text}`)).toEqual([
      'word select',
      `string a''b`,
      'quoted-name c""d',
      `string f\\'g`,
      'string h',
      'string j$$k',
      'word p',
      'symbol .',
      'word q1',
    ])
  })

  it.each([`'`, `"`, `e'\\`, '$$', '$a$ b', '/*', '/* /* */', '--', '', '\u0000', 'é$1'])('ends on %j', (sql) => {
    expect(readSqlTokens(sql).length).toBeLessThanOrEqual(sql.length)
  })
})

describe('findSessionState()', () => {
  it.each([
    [`select set_config('a', 'b,false', true)`, undefined],
    [`select set_config('a', f(1, 2), false)`, 'set_config(…, false)'],
    [`select set_config('a', $1, 'f')`, 'set_config(…, false)'],
    [`select set_config('a', $1, $2)`, undefined],
    ['select 1; listen a', 'listen'],
    ['set', 'set'],
    ['create unlogged table temporary_things ()', undefined],
    ['create local temp table a ()', 'create temp'],
    ['update t set a = 1', undefined],
    ['', undefined],
  ])('of %j is %s', (sql, found) => {
    expect(findSessionState(sql)?.found).toBe(found)
  })

  // A pattern that backtracks would need hours for it, and the limit of the test would end it.
  it('comes to the end of a megabyte of quotes', () => {
    expect(findSessionState(`select '${`''`.repeat(500_000)}' ${'/*'.repeat(20_000)}`)).toBeUndefined()
  })
})
