import type { Client } from 'pg'
import { applyStage, findUncloned, type Refused, type Uncloned } from '../../src/clone/clone-schema.ts'
import { readSchemaStatements, type SchemaStatement } from '../../src/clone/schema-statements.ts'
import { connect, onDatabase, openScratchServer } from '../../src/clone/scratch-database.ts'

/** A scratch copy of a database's schema, without rows. */
export interface Copy {
  readonly client: Client
  readonly statements: readonly SchemaStatement[]
  findUncloned(): Promise<Uncloned[]>
  close(): Promise<void>
}

export async function copySchema(adminUrl: string): Promise<Copy> {
  const source = await connect(adminUrl)
  const statements = await readSchemaStatements(source)
  await source.end()
  const server = await openScratchServer(adminUrl)
  const client = await connect(onDatabase(adminUrl, await server.create()))
  let open: readonly Refused[] = []
  for (let turn = 0; turn < 2; turn += 1) {
    const tried = turn === 0 ? statements : open
    open = []
    for (const stage of ['structure', 'guards', 'rights'] as const)
      open = [...open, ...(await applyStage(client, tried, stage))]
  }
  return {
    client,
    statements,
    findUncloned: () => findUncloned(client, statements, open),
    close: async () => {
      await client.end()
      await server.close()
    },
  }
}
