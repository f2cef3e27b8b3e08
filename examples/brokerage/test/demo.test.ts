import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startBrokerageDemo } from 'rowhouse-example-brokerage'
import { expect, test } from 'vitest'
import { Browser } from './support/browser.ts'

test('the demonstration starts with a broker in each model, and again finds what it made', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'brokerage-demo-'))
  const start = async () => {
    const lines: string[] = []
    const demo = await startBrokerageDemo({ port: 0, dataDir, onProgress: (line) => lines.push(line) })
    const port = Number(new URL(demo.urls[0] ?? '').port)
    const pages = await Promise.all(demo.urls.map((url) => new Browser(port, new URL(url).hostname).get('/')))
    await demo.stop()
    return { lines, letters: demo.letters, statuses: pages.map(({ status }) => status) }
  }
  const first = await start()
  for (const model of ['pooled', 'schema', 'database']) {
    expect(first.lines).toContainEqual(
      expect.stringMatching(new RegExp(`${model} on "\\w+" in \\d+ ms, \\d+ policies`)),
    )
  }
  // The sign-up page, and for each broker the way to its sign-in.
  expect(first.statuses).toEqual([200, 303, 303, 303])
  const second = await start()
  expect(second.lines.filter((line) => line.endsWith('its book is there'))).toHaveLength(3)
  expect(second.letters).toEqual([expect.anything(), expect.anything(), expect.anything()])
  await rm(dataDir, { recursive: true })
})
