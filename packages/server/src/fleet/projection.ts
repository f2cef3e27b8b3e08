import { CENTRAL, type HomeAddress, type OperatorConnections } from '../registry/operator-connections.ts'

/** News of a home for the central database. */
export interface HomeNews {
  readonly state: 'current' | 'running' | 'failed'
  /** Left out, what was known stays. */
  readonly head?: string | undefined
  readonly digest?: string | undefined
  readonly error?: string | undefined
}

const WRITE = `
  update rowhouse.fleet_home h
     set state = n.state, head = coalesce(n.head, h.head), digest = coalesce(n.digest, h.digest), error = n.error, changed_at = now()
    from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
         as n (server, database_name, schema_name, state, head, digest, error)
   where (h.server, h.database_name, h.schema_name) = (n.server, n.database_name, n.schema_name)`

/** A statement per home would be a third of the work of a small migration. */
const FLUSH_MS = 250
const MOST_ERROR_CHARACTERS = 4_000

/**
 * Tells the central database about homes, many at a time.
 *
 * What is lost when the process ends is told again: the ledger in the home decides, and the next run asks it.
 */
export class Projection {
  readonly #connections: OperatorConnections
  #news = new Map<string, { home: HomeAddress; news: HomeNews }>()
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  #failure: unknown

  constructor(connections: OperatorConnections) {
    this.#connections = connections
  }

  tell(home: HomeAddress, news: HomeNews): void {
    this.#news.set(`${home.server}/${home.database ?? ''}/${home.schema ?? ''}`, { home, news })
    this.#timer ??= setTimeout(() => this.#startFlush(), FLUSH_MS)
  }

  /** Throws what made an earlier write fail: a run that cannot be recorded does not go on. */
  assertWorks(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Writes what is still to be told. */
  async flush(): Promise<void> {
    this.#startFlush()
    await this.#writing
    this.assertWorks()
  }

  #startFlush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const entries = [...this.#news.values()]
    if (entries.length === 0) return
    this.#news = new Map()
    this.#writing = this.#writing
      .then(() => this.#write(entries))
      .catch((error: unknown) => {
        this.#failure ??= error
      })
  }

  async #write(entries: readonly { home: HomeAddress; news: HomeNews }[]): Promise<void> {
    const columns = [
      entries.map(({ home }) => home.server),
      entries.map(({ home }) => home.database ?? ''),
      entries.map(({ home }) => home.schema ?? ''),
      entries.map(({ news }) => news.state),
      entries.map(({ news }) => news.head ?? null),
      entries.map(({ news }) => news.digest ?? null),
      entries.map(({ news }) => news.error?.slice(0, MOST_ERROR_CHARACTERS) ?? null),
    ]
    await this.#connections.transact(CENTRAL, (client) => client.query(WRITE, columns))
  }
}
