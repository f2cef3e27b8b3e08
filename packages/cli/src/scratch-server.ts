import type { AdminFlags, Io } from './command.ts'
import { openEmptyDatabase } from './example.ts'
import { adminSettings, appSettings } from './settings.ts'

/** Runs `work` on the server of the environment, or on one started for it where the environment names none. */
export async function withScratchServer<T>(
  io: Io,
  flags: AdminFlags,
  work: (urls: { readonly adminUrl: string; readonly appUrl: string }) => Promise<T>,
): Promise<T> {
  const adminUrl = adminSettings(io.env, flags).url
  const appUrl = appSettings(io.env).url
  if (adminUrl && appUrl) return work({ adminUrl, appUrl })
  const server = await openEmptyDatabase()
  try {
    return await work({ adminUrl: server.adminUrl, appUrl: server.appUrl })
  } finally {
    await server.stop()
  }
}
