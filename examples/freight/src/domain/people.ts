import type { ScopedDb } from 'rowhouse'

export type Role = 'director' | 'manager' | 'clerk'

export interface Person {
  readonly id: string
  readonly name: string
  readonly role: Role
  /** Undefined for a director, who belongs to no branch and sees all. */
  readonly branch: { readonly id: string; readonly code: string; readonly name: string } | undefined
}

interface PersonRow {
  readonly id: string
  readonly name: string
  readonly role: Role
  readonly branch_id: string | null
  readonly branch_code: string
  readonly branch_name: string
}

const SELECT_PERSON = `
  select u.id, u.name, u.role, u.branch_id, b.code as branch_code, b.name as branch_name
  from app_user u left join branch b on b.tenant_id = u.tenant_id and b.id = u.branch_id`

/** Finds a person of the running tenant; a person of another tenant is not found. */
export async function findPerson(db: ScopedDb, id: string): Promise<Person | undefined> {
  const row = await db.maybeOne<PersonRow>(`${SELECT_PERSON} where u.id = $1`, [id])
  return row === undefined ? undefined : toPerson(row)
}

/** Returns the director, or undefined when the tenant has nobody yet. */
export async function findDirector(db: ScopedDb): Promise<Person | undefined> {
  const row = await db.maybeOne<PersonRow>(`${SELECT_PERSON} where u.role = 'director' order by u.id limit 1`)
  return row === undefined ? undefined : toPerson(row)
}

/** Lists who can sign in: the director and the managers, by branch. */
export async function listPeople(db: ScopedDb): Promise<Person[]> {
  const rows = await db.many<PersonRow>(`${SELECT_PERSON} where u.role <> 'clerk' order by u.role, b.id`)
  return rows.map(toPerson)
}

function toPerson({ id, name, role, branch_id, branch_code, branch_name }: PersonRow): Person {
  const branch = branch_id === null ? undefined : { id: branch_id, code: branch_code, name: branch_name }
  return { id, name, role, branch }
}
