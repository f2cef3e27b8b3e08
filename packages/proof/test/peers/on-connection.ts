import pg, { type Client } from 'pg'

/** Opens a connection for as long as `fn` runs, with nothing set on it that the login does not set. */
export async function onConnection<T>(url: string, fn: (client: Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return await fn(client)
  } finally {
    await client.end().catch(() => {})
  }
}
