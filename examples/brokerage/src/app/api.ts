import { Hono } from 'hono'
import type { Rowhouse } from 'rowhouse'
import { importBook } from '../domain/book-import.ts'
import { loadBroker } from '../domain/broker.ts'
import { readStatement } from '../domain/commission-statement.ts'
import { isoDate } from '../domain/iso-date.ts'
import { findPolicyFile, listPolicies } from '../domain/policies.ts'
import { bindQuote, listQuotes, makeQuote, parseQuoteOrder } from '../domain/quotes.ts'
import { answerProblem, NOT_FOUND } from './problem.ts'
import { findId, readBook, readFields, readMonth, readPage, readPolicyFilter } from './request-input.ts'
import type { BrokerageEnv } from './visitor.ts'

/** The HTTP API. No route takes a broker: whose data it is was decided before any of this runs. */
export function createApi(rowhouse: Rowhouse): Hono<BrokerageEnv> {
  const api = new Hono<BrokerageEnv>()
  const { db } = rowhouse
  api.get('/me', async (c) => {
    const visitor = c.get('visitor')
    const { actor } = await db.one<{ actor: string | null }>('select rowhouse.current_actor() as actor')
    const person = visitor.kind === 'person' ? { name: visitor.member.name, role: visitor.member.role } : undefined
    return c.json({ broker: rowhouse.currentTenant().slug, name: (await loadBroker(db)).name, actor, person })
  })
  api.get('/policies', async (c) => c.json(await listPolicies(db, readPolicyFilter(c))))
  api.get('/policies/:id', async (c) => {
    const id = findId(c)
    const file = id === undefined ? undefined : await findPolicyFile(db, id)
    return file === undefined ? answerProblem(c, NOT_FOUND) : c.json(file)
  })
  api.get('/quotes', async (c) => c.json({ quotes: await listQuotes(db, readPage(c)) }))
  api.post('/quotes', async (c) => {
    const quote = await makeQuote(db, await loadBroker(db), parseQuoteOrder(await readFields(c)))
    return c.json(quote, 201)
  })
  api.post('/quotes/:id/bind', async (c) => {
    const id = findId(c)
    const policy = id && (await bindQuote(db, await loadBroker(db), id, isoDate(new Date())))
    return policy ? c.json(policy, 201, { location: `/api/policies/${policy.id}` }) : answerProblem(c, NOT_FOUND)
  })
  api.get('/commissions', async (c) => c.json(await readStatement(db, readMonth(c.req.query('month')))))
  api.post('/book', async (c) => c.json(await importBook(db, await readBook(c)), 201))
  api.all('*', (c) => answerProblem(c, NOT_FOUND))
  return api
}
