import { describe, expect, it } from 'vitest'
import { shrink } from '../../src/fuzz/shrink.ts'
import { type Case, makeCase, textsOf } from '../../src/fuzz/statement.ts'
import { choice, cuts, list, render, sql, type Tree } from '../../src/fuzz/tree.ts'

function caseOf(...steps: Tree[]): Case {
  return { number: 0, kind: 'select', form: 'single', units: true, steps, values: [] }
}

const SELECT = sql`select ${list(['a.id', choice(sql`upper(${choice('a.name', `'x'`)})`, `'x'`)], { minimum: 1 })} from a${list(
  [' join b on true', ' join c on true'],
  { separator: '' },
)}${list(['a.id > 1', 'b.id > 2', 'c.id > 3'], { before: ' where ', separator: ' and ' })}`

describe('cuts()', () => {
  it('yields trees one cut smaller, whole lists before their items', () => {
    expect(render(SELECT)).toBe(
      'select a.id, upper(a.name) from a join b on true join c on true where a.id > 1 and b.id > 2 and c.id > 3',
    )
    const texts = [...cuts(SELECT)].map(render)
    expect(texts).toContain('select a.id from a join b on true join c on true where a.id > 1 and b.id > 2 and c.id > 3')
    expect(texts).toContain('select a.id, upper(a.name) from a join b on true join c on true')
    expect(texts).toContain(
      `select a.id, upper('x') from a join b on true join c on true where a.id > 1 and b.id > 2 and c.id > 3`,
    )
    expect(texts.every((text) => text.length < render(SELECT).length)).toBe(true)
    expect(texts.some((text) => text.startsWith('select  from'))).toBe(false)
  })
})

describe('shrink()', () => {
  it('keeps what the failure needs and nothing else', async () => {
    const smallest = await shrink(caseOf('savepoint s', SELECT, 'select 1'), async ({ steps }) => {
      const text = textsOf({ steps }).join(';')
      return text.includes('join c') && text.includes('c.id > 3')
    })
    expect(textsOf(smallest)).toEqual([`select 'x' from a join c on true where c.id > 3`])
    expect(smallest.units).toBe(false)
  })

  it('returns the case where nothing smaller fails', async () => {
    const failing = caseOf(SELECT)
    await expect(shrink(failing, async () => false)).resolves.toBe(failing)
  })

  it('stops after as many attempts as it was given', async () => {
    let asked = 0
    const largest = Array.from({ length: 4_000 }, (_, number) => makeCase(7, number, 18)).reduce((a, b) =>
      textsOf(a).join().length > textsOf(b).join().length ? a : b,
    )
    await shrink(
      largest,
      async () => {
        asked += 1
        return true
      },
      3,
    )
    expect(asked).toBe(3)
  })
})
