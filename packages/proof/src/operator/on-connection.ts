import pg, { type Client, type ClientConfig } from 'pg'

/** Opens a connection for as long as `fn` runs, with nothing set on it but what its login and `startup` set. */
export async function onConnection<T>(
  url: string,
  fn: (client: Client) => Promise<T>,
  startup: Pick<ClientConfig, 'application_name' | 'options'> = {},
): Promise<T> {
  const client = new pg.Client({ connectionString: url, ...startup })
  client.on('error', () => {})
  await client.connect()
  try {
    return await fn(client)
  } finally {
    await client.end().catch(() => {})
  }
}
