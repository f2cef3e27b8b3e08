import { describe, expect, it } from 'vitest'
import { DISGUISES } from '../../src/inject/disguises.ts'
import { ACTIONS, generatePayloads } from '../../src/inject/grammar.ts'
import { FAMILIES, type Family, SETTING_FORMS, type SettingForm, type Target } from '../../src/inject/payload.ts'
import { SPOTS, WHOLE } from '../../src/inject/spots.ts'

const target = (setting: string): Target => ({
  setting,
  values: Object.fromEntries(SETTING_FORMS.map((form) => [form, `${form}'s value`])) as Record<SettingForm, string>,
  victim: '00000000-0000-4000-8000-00000000000b',
})
const payloads = generatePayloads(target('rowhouse.seal'))

describe('generatePayloads()', () => {
  it('writes more than 2,000 different texts', () => {
    expect(new Set(payloads.map(({ text }) => text)).size).toBeGreaterThan(2_000)
    expect(new Set(payloads.map(({ id }) => id)).size).toBe(payloads.length)
  })

  it('writes the same payloads for the same seed, and others for another', () => {
    expect(generatePayloads(target('rowhouse.seal'))).toEqual(payloads)
    const others = generatePayloads(target('rowhouse.seal'), 1)
    expect(others).not.toEqual(payloads)
    expect(others).toHaveLength(payloads.length)
  })

  it('means the same by the same id against each target', () => {
    const control = generatePayloads(target('app.tenant_id'))
    expect(control.map(({ id }) => id)).toEqual(payloads.map(({ id }) => id))
    expect(control.some(({ text }) => text.includes("'app.tenant_id'"))).toBe(true)
  })

  it('has actions of every family, each in several places', () => {
    const places = new Map<Family, Set<string>>()
    for (const { family, spot } of payloads) places.set(family, (places.get(family) ?? new Set()).add(spot))
    expect([...places.keys()].sort()).toEqual(Object.keys(FAMILIES).sort())
    for (const [family, spots] of places) expect(spots.size, family).toBeGreaterThan(3)
  })

  it('uses every place and every disguise', () => {
    expect(new Set(payloads.map(({ spot }) => spot))).toEqual(new Set([...SPOTS.map(({ name }) => name), WHOLE]))
    const used = new Set(payloads.map(({ disguise }) => disguise))
    for (const { name } of DISGUISES) expect(used, name).toContain(name)
  })

  it('names each action once', () => {
    const names = ACTIONS.map(({ family, name }) => `${family} / ${name}`)
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
  })
})

describe('disguises', () => {
  const sql = `select set_config('a.b', 'it''s', true) from "Quoted Name"`
  const disguised = (name: string) => DISGUISES.find((disguise) => disguise.name === name)?.apply(sql)

  it.each([
    ['plain', sql],
    ['comments for spaces', `select/**/set_config('a.b',/**/'it''s',/**/true)/**/from/**/"Quoted Name"`],
    ['mixed case', `SeLeCt sEt_cOnFiG('a.b', 'it''s', TrUe) FrOm "Quoted Name"`],
    ['dollar quotes', `select set_config($p$a.b$p$, $p$it's$p$, true) from "Quoted Name"`],
    [
      'chr()',
      `select set_config((chr(97)||chr(46)||chr(98)), (chr(105)||chr(116)||chr(39)||chr(115)), true) from "Quoted Name"`,
    ],
    [
      'hex decoded',
      `select set_config(convert_from(decode('612e62','hex'),'UTF8'), convert_from(decode('69742773','hex'),'UTF8'), true) from "Quoted Name"`,
    ],
  ])('%s leaves literals and quoted names what they were', (name, wanted) => {
    expect(disguised(name)).toBe(wanted)
  })
})
