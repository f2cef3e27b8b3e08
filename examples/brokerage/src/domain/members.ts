import type { ScopedDb } from 'rowhouse'
import { hashPassword, isPassword } from './passwords.ts'

export interface Member {
  readonly id: string
  readonly email: string
  readonly name: string
  readonly role: 'administrator' | 'broker'
}

const SELECT = 'select id, email, name, role from member'

/** Finds a person of the running broker; a person of another broker is not found. */
export function findMember(db: ScopedDb, id: string): Promise<Member | undefined> {
  return db.maybeOne<Member>(`${SELECT} where id = $1`, [id])
}

/** Returns who signs in with these; undefined for an unknown address, a wrong password and an open invitation alike. */
export async function findByPassword(db: ScopedDb, email: string, password: string): Promise<Member | undefined> {
  const row = await db.maybeOne<Member & { password_hash: string | null }>(
    'select id, email, name, role, password_hash from member where email = $1',
    [email.trim().toLowerCase()],
  )
  if (!(await isPassword(password, row?.password_hash ?? undefined)) || row === undefined) return undefined
  const { password_hash: _, ...member } = row
  return member
}

/** Returns somebody who was invited and has not come yet. */
export function findInvited(db: ScopedDb, email: string): Promise<Member | undefined> {
  return db.maybeOne<Member>(`${SELECT} where email = $1 and password_hash is null`, [email])
}

/** Sets the first password. Returns undefined when the invitation was accepted before: it is good for once. */
export async function acceptInvitation(db: ScopedDb, email: string, password: string): Promise<Member | undefined> {
  const hash = await hashPassword(password)
  return db.maybeOne<Member>(
    'update member set password_hash = $2 where email = $1 and password_hash is null returning id, email, name, role',
    [email, hash],
  )
}
