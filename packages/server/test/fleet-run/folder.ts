import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Migration } from '../../src/fleet/migration.ts'
import { readMigrations } from '../../src/fleet/migration-folder.ts'

/** Reads migrations given as file name and text, as if they lay in a folder. */
export async function migrationsOf(files: Readonly<Record<string, string>>): Promise<readonly Migration[]> {
  const folder = await mkdtemp(join(tmpdir(), 'rowhouse-migrations-'))
  try {
    await mkdir(folder, { recursive: true })
    await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder, name), text)))
    return await readMigrations(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** A file that makes `count` tenant tables, each with an index. */
export function manyTables(count: number): string {
  const table = (n: number) => `
    create table shipment_${n} (
      tenant_id uuid not null, id bigint generated always as identity, label text not null, weight numeric check (weight > 0),
      created_at timestamptz not null default now(), primary key (tenant_id, id));
    create index shipment_${n}_created_idx on shipment_${n} (tenant_id, created_at);`
  return Array.from({ length: count }, (_, index) => table(index + 1)).join('\n')
}
