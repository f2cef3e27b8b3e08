import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import plugin from '../src/index.ts'

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
const guide = readFileSync(new URL('../../../docs/guides/lint.md', import.meta.url), 'utf8')

describe('the plugin', () => {
  it('has the name and version of its package', () => {
    expect(plugin.meta).toEqual({ name: manifest.name, version: manifest.version })
  })

  it('recommends every rule, and itself', () => {
    const { plugins, rules } = plugin.configs.recommended
    expect(rules).toEqual(Object.fromEntries(Object.keys(plugin.rules).map((name) => [`rowhouse/${name}`, 'error'])))
    expect(plugins?.rowhouse).toBe(plugin)
  })

  it.each(Object.entries(plugin.rules))(
    'has a description, a schema and a row in the guide for %s',
    (name, { meta }) => {
      expect(meta?.docs?.description).toMatch(/^[A-Z].*[^.]$/)
      expect(meta?.schema).toBeDefined()
      expect(guide).toContain(`| \`${name}\` |`)
    },
  )
})
