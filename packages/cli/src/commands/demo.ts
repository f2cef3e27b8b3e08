import { buildCommand } from '@stricli/core'
import { type Context, command, type Io, type JsonFlag, jsonFlag, wholeNumber } from '../command.ts'
import { loadFreight } from '../example.ts'
import { printJson } from '../print.ts'
import { readSetting } from '../settings.ts'

interface Flags extends JsonFlag {
  readonly port: number
  readonly tenants: number
  readonly shipments: number
  readonly dataDir?: string
}

/** What the freight example reports while it starts. */
interface ProgressEvent {
  readonly step: string
  readonly done?: number
  readonly total?: number
  readonly ratePerSecond?: number
  readonly note?: string
}

/** What is used of the example. Described here, because the published command is compiled without it. */
interface FreightExample {
  startFreightDemo(options: {
    readonly port: number
    readonly tenants: number
    readonly shipments: number
    readonly dataDir?: string
    readonly databaseUrl?: string
    readonly signal?: AbortSignal
    onProgress(event: ProgressEvent): void
  }): Promise<{ readonly urls: readonly string[]; stop(): Promise<void> }>
}

export const demoCommand = buildCommand<Flags, [], Context>({
  func: command<Flags, []>(async (io, { json, port, tenants, shipments, dataDir }) => {
    const { startFreightDemo } = await loadFreight<FreightExample>('start the demonstration')
    const databaseUrl = readSetting(io.env, 'DATABASE_URL')
    const demo = await startFreightDemo({
      port,
      tenants,
      shipments,
      ...(dataDir === undefined ? {} : { dataDir }),
      ...(databaseUrl === undefined ? {} : { databaseUrl }),
      ...(io.signal === undefined ? {} : { signal: io.signal }),
      onProgress: progressPrinter(io, json),
    })
    if (json) printJson(io, { step: 'serving', urls: demo.urls })
    else printWelcome(io, demo.urls)
    await untilAsked(io.signal)
    await demo.stop()
  }),
  parameters: {
    flags: {
      json: jsonFlag,
      port: { kind: 'parsed', parse: wholeNumber(0, 65_535), default: '4000', brief: 'TCP port on 127.0.0.1' },
      tenants: { kind: 'parsed', parse: wholeNumber(2, 1_000), default: '50', brief: 'Companies to make' },
      shipments: {
        kind: 'parsed',
        parse: wholeNumber(0, 100_000_000),
        default: '500000',
        brief: 'Shipments of all companies together',
      },
      dataDir: { kind: 'parsed', parse: String, optional: true, brief: 'Folder that keeps the data' },
    },
  },
  docs: {
    brief: 'Serve the freight example with its attack lab',
    fullDescription:
      'Starts PostgreSQL from npm packages (or uses DATABASE_URL), makes the data on the first start, and serves on loopback.',
  },
})

function progressPrinter(io: Io, json: boolean): (event: ProgressEvent) => void {
  if (json) return (event) => printJson(io, event)
  let lastLine = ''
  let lastTenth = ''
  return ({ step, done, total, ratePerSecond, note }) => {
    const share =
      done !== undefined && total !== undefined ? ` ${done.toLocaleString('en')} of ${total.toLocaleString('en')}` : ''
    const rate =
      ratePerSecond === undefined
        ? ''
        : `, ${Math.round(ratePerSecond).toLocaleString('en')} per second${eta(done, total, ratePerSecond)}`
    const line = `${step}${share}${rate}${note === undefined ? '' : `: ${note}`}`
    if (line === lastLine) return
    // A step that counts rewrites its line on a terminal; elsewhere each tenth of the way gets one.
    if (io.stderr.isTTY && done !== undefined) io.stderr.write(`\r\u001b[K${line}${done === total ? '\n' : ''}`)
    else if (done === undefined || tenthOf(step, done, total) !== lastTenth) io.stderr.write(`${line}\n`)
    lastLine = line
    if (done !== undefined) lastTenth = tenthOf(step, done, total)
  }
}

function eta(done: number | undefined, total: number | undefined, ratePerSecond: number): string {
  if (done === undefined || total === undefined || ratePerSecond <= 0 || done >= total) return ''
  return `, ${Math.ceil((total - done) / ratePerSecond)} s left`
}

function tenthOf(step: string, done: number, total: number | undefined): string {
  return `${step} ${total === undefined ? done : Math.floor((done * 10) / total)}`
}

function printWelcome(io: Io, urls: readonly string[]): void {
  io.stderr.write('\nThe demonstration is up. Open:\n\n')
  for (const url of urls) io.stdout.write(`  ${url}\n`)
  io.stderr.write(`
Try to read one company's shipments from the other:
  by id       open a shipment of acme, then the same address under globex: 404
  by SQL      the attack lab (/lab) concatenates what you type: own rows, or refused
  by header   curl -H 'x-tenant: globex' http://acme.localhost:…/api/shipments: refused
Each attempt is logged with the reason. Ctrl-C ends everything.
`)
}

function untilAsked(signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined || signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
