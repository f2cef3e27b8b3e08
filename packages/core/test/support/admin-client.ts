import pg from 'pg'

/** Runs `fn` with a connection of the superuser and closes it afterwards. */
export async function withAdminClient<T>(url: string, fn: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await fn(client)
  } finally {
    await client.end()
  }
}

/** Returns `adminUrl` with another database, and with another login where one is given. */
export function urlOf(adminUrl: string, database: string, login?: { user: string; password: string }): string {
  const url = new URL(adminUrl)
  url.pathname = `/${database}`
  if (login !== undefined) {
    url.username = login.user
    url.password = login.password
  }
  return url.href
}
