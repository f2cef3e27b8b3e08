import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const biome = createRequire(import.meta.url).resolve('@biomejs/biome/bin/biome')
const folder = mkdtempSync(join(tmpdir(), 'rowhouse-lint-'))
copyFileSync(join(root, 'biome.json'), join(folder, 'biome.json'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Lints one file with the configuration of this repository and returns the rules that failed. */
function lint(text: string, name = 'fixture.ts'): { rules: string[]; code: number | null } {
  writeFileSync(join(folder, name), text)
  const args = [biome, 'lint', '--vcs-enabled=false', '--error-on-warnings', '--reporter=github', name]
  const { stdout, status } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' })
  rmSync(join(folder, name))
  return { rules: [...stdout.matchAll(/title=lint\/\w+\/(\w+)/g)].map((match) => match[1] ?? ''), code: status }
}

describe('the linter refuses', () => {
  it.each([
    ['noFloatingPromises', `async function work(): Promise<void> {}\nexport function go(): void {\n  work()\n}\n`],
    ['noMisusedPromises', `async function isOpen() {\n  return true\n}\nif (isOpen()) {\n  console.log(1)\n}\n`],
    ['noExplicitAny', `export const a: any = 1\n`],
    ['useImportType', `import { A } from './a.ts'\nexport const a: A = 1\n`],
    ['noDefaultExport', `export default 1\n`],
    ['useNodejsImportProtocol', `import { join } from 'path'\nexport const a = join('a')\n`],
  ])('%s, because a rule that does not fire is worse than none', (rule, text) => {
    expect(lint(text)).toEqual({ rules: [rule], code: 1 })
  })

  it('nothing in sound code', () => {
    const text = `async function work(): Promise<void> {}\nexport async function go(): Promise<void> {\n  await work()\n}\n`
    expect(lint(text)).toEqual({ rules: [], code: 0 })
  })

  it('no default export where a tool demands one', () => {
    expect(lint(`export default {}\n`, 'vitest.config.ts')).toEqual({ rules: [], code: 0 })
  })
})
