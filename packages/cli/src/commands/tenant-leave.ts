import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { buildCommand } from '@stricli/core'
import { TenantError } from 'rowhouse'
import type { ControlPlane, SealedCertificate, StepEvent } from 'rowhouse-server'
import { asTyped, type Context, command, type Io, jsonFlag, wholeNumber } from '../command.ts'
import { type ConfigFlags, configFlags, loadServer, withControlPlane } from '../control-plane.ts'
import { FINDINGS, UsageError } from '../exit-code.ts'
import { printJson } from '../print.ts'
import { adminSettings } from '../settings.ts'
import { countText, isForPeople } from '../terminal.ts'
import { stepPrinter } from './tenant-provision.ts'
import { type ActorFlags, actorFlags, actorOf, printLife, tenantPosition, withLifecycle } from './tenant-suspend.ts'

const DAYS = 36_500
const reason = { kind: 'parsed', parse: String, brief: 'Why, for people', placeholder: 'text' } as const

/** Opens the control plane and prints the steps of one tenant's run as they happen. */
function withSteps<T>(io: Io, flags: ConfigFlags, name: string, work: (plane: ControlPlane) => Promise<T>): Promise<T> {
  const print = stepPrinter(io, flags.json, name)
  let id = ''
  // The journal knows a tenant that leaves by its id alone.
  const onStep = (event: StepEvent) => print(event.slug === id ? { ...event, slug: name } : event)
  return withControlPlane(
    io,
    flags,
    async (plane) => {
      id = (await plane.lifecycle.show(name)).tenantId
      return asTyped(() => work(plane))
    },
    { onStep },
  )
}

interface OffboardFlags extends ConfigFlags, ActorFlags {
  readonly reason: string
  readonly retainDays: number
}

const offboard = buildCommand<OffboardFlags, [string], Context>({
  func: command<OffboardFlags, [string]>(async (io, flags, name) => {
    const request = { reason: flags.reason, by: actorOf(flags), retainDays: flags.retainDays }
    const left = await withSteps(io, flags, name, (plane) => plane.lifecycle.offboard(name, request))
    if (!isForPeople(io, flags.json)) return printJson(io, { event: 'offboarded', ...left })
    io.stdout.write(
      `\n${name} is offboarding, retained until ${left.retainUntil}; export: ${left.exportReference ?? 'none'}\n`,
    )
  }),
  parameters: {
    flags: {
      ...configFlags,
      ...actorFlags,
      reason,
      retainDays: {
        kind: 'parsed',
        parse: wholeNumber(0, DAYS),
        default: '30',
        brief: 'Days until it may be erased',
        placeholder: 'n',
      },
    },
    positional: tenantPosition,
  },
  docs: {
    brief: 'Let a tenant leave: suspend it, export its data, start the clock',
    fullDescription:
      'The export is "exportTenant" of the configuration. Killed in between, the same command goes on where it stopped.',
  },
})

const cancelOffboarding = buildCommand<ActorFlags & { readonly reason: string }, [string], Context>({
  func: command<ActorFlags & { readonly reason: string }, [string]>(async (io, flags, name) => {
    const request = { reason: flags.reason, by: actorOf(flags) }
    printLife(io, await withLifecycle(io, flags, (lifecycle) => lifecycle.cancelOffboarding(name, request)), flags.json)
  }),
  parameters: { flags: { ...actorFlags, reason }, positional: tenantPosition },
  docs: { brief: 'Take a tenant back that was offboarding; it is suspended then' },
})

interface EraseFlags extends ConfigFlags, ActorFlags {
  readonly reason?: string
  readonly now: boolean
  readonly keep?: readonly string[]
  readonly backupDays?: number
  readonly walDays?: number
  readonly logDays?: number
}

const days = (of: string) =>
  ({
    kind: 'parsed',
    parse: wholeNumber(0, DAYS),
    optional: true,
    brief: `Days ${of} are kept, for the certificate`,
    placeholder: 'n',
  }) as const

const erase = buildCommand<EraseFlags, [string], Context>({
  func: command<EraseFlags, [string]>(async (io, flags, name) => {
    const { now, keep, backupDays, walDays, logDays } = flags
    const request = {
      by: actorOf(flags),
      now,
      ...(flags.reason !== undefined && { reason: flags.reason }),
      ...(keep !== undefined && { keep }),
      keptDays: {
        ...(backupDays !== undefined && { physicalBackups: backupDays }),
        ...(walDays !== undefined && { writeAheadLogs: walDays }),
        ...(logDays !== undefined && { logs: logDays }),
      },
    }
    const sealed = await withSteps(io, flags, name, (plane) => plane.lifecycle.erase(name, request))
    if (!isForPeople(io, flags.json)) return printJson(io, { event: 'erased', ...sealed })
    printCertificate(io, sealed)
  }),
  parameters: {
    flags: {
      ...configFlags,
      ...actorFlags,
      reason: { ...reason, optional: true, brief: 'Why; wanted with --now [default = retention ended]' },
      now: { kind: 'boolean', default: false, withNegated: false, brief: 'Before the clock has run out' },
      keep: {
        kind: 'parsed',
        parse: String,
        optional: true,
        variadic: ',',
        brief: 'Tables outside the walls whose rows stay',
        placeholder: 'schema.table',
      },
      backupDays: days('physical backups'),
      walDays: days('archived write-ahead logs'),
      logDays: days('logs'),
    },
    positional: tenantPosition,
  },
  docs: {
    brief: 'Erase a tenant that has left, and print the certificate',
    fullDescription: [
      'Rows, schema or database, keys, domains and credentials. Refused under a legal hold, and before the clock has run out unless --now says why.',
      'Killed in between, the next process that opens the control plane goes on. The certificate stays in the registry.',
    ].join('\n'),
  },
})

const certificate = buildCommand<ActorFlags, [string], Context>({
  func: command<ActorFlags, [string]>(async (io, flags, id) => {
    const sealed = await withLifecycle(io, flags, (lifecycle) => lifecycle.certificate(id))
    if (sealed === undefined)
      throw new TenantError(
        'ERR_TENANT_NOT_FOUND',
        `Cannot find the certificate of tenant "${id}": none of this id was erased`,
      )
    printJson(io, sealed)
  }),
  parameters: {
    flags: actorFlags,
    positional: { kind: 'tuple', parameters: [{ parse: String, brief: 'Id of the erased tenant', placeholder: 'id' }] },
  },
  docs: { brief: 'Print the certificate of an erased tenant' },
})

const verifyCertificate = buildCommand<{ readonly json: boolean }, [string], Context>({
  func: command<{ readonly json: boolean }, [string]>(async (io, { json }, file) => {
    const server = await loadServer()
    const verdict = server.verifyCertificate(adminSettings(io.env).rootKey, readDocument(io, file))
    if (json) printJson(io, verdict)
    else
      io.stdout.write(
        verdict.valid
          ? 'The certificate is what was written\n'
          : `The certificate is not to be believed: ${verdict.fault}\n`,
      )
    return verdict.valid ? 0 : FINDINGS
  }),
  parameters: {
    flags: { json: jsonFlag },
    positional: {
      kind: 'tuple',
      parameters: [{ parse: String, brief: 'JSON, as erase printed it', placeholder: 'file' }],
    },
  },
  docs: { brief: 'Tell whether an erase certificate was written with this root key and not changed since' },
})

export const leaveRoutes = { offboard, cancelOffboarding, erase, certificate, verifyCertificate }

function readDocument(io: Io, file: string): unknown {
  try {
    return JSON.parse(readFileSync(resolve(io.cwd ?? process.cwd(), file), 'utf8'))
  } catch (error) {
    throw new UsageError(`Cannot read the certificate "${file}": ${(error as Error).message}`, { cause: error })
  }
}

function printCertificate(io: Io, sealed: SealedCertificate): void {
  const { tenantId, erased, proof, remains, erasedAt } = sealed.certificate
  const rows = erased.reduce((sum, table) => sum + table.rows, 0)
  const read = proof.reduce((sum, server) => sum + server.tablesRead, 0)
  io.stdout.write(
    `\n${tenantId} was erased at ${erasedAt}: ${countText(rows)} rows; none is left in ${countText(read)} tables\n\nWhat remains:\n`,
  )
  for (const { what, where, until, why } of remains)
    io.stdout.write(`  ${what}, ${where}${until === null ? '' : `, until ${until}`}: ${why}\n`)
  io.stdout.write(`\nCertificate: rowhouse tenant certificate ${tenantId}\n`)
}
