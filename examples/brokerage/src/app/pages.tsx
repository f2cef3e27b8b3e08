import { type Context, Hono } from 'hono'
import type { Child } from 'hono/jsx'
import { isRowhouseError, type Logger, type Rowhouse } from 'rowhouse'
import { importBook } from '../domain/book-import.ts'
import { loadBroker } from '../domain/broker.ts'
import { bookPayment, readStatement } from '../domain/commission-statement.ts'
import { InputError } from '../domain/input-error.ts'
import { isoDate } from '../domain/iso-date.ts'
import { loadMarket } from '../domain/market.ts'
import { loadOverview } from '../domain/overview.ts'
import { findPolicyFile, listPolicies } from '../domain/policies.ts'
import { bindQuote, listQuotes, makeQuote, parseQuoteOrder } from '../domain/quotes.ts'
import type { OwnDomain } from '../platform/own-domain.ts'
import { type Problem, toProblem } from './problem.ts'
import { findId, readBook, readFields, readMonth, readPage, readPolicyFilter } from './request-input.ts'
import { ImportPage } from './views/import.tsx'
import { Layout } from './views/layout.tsx'
import { OverviewPage } from './views/overview.tsx'
import { Message } from './views/parts.tsx'
import { PoliciesPage, PolicyPage } from './views/policies.tsx'
import { QuotesPage } from './views/quotes.tsx'
import { SettingsPage } from './views/settings.tsx'
import { StatementPage } from './views/statement.tsx'
import type { BrokerageEnv } from './visitor.ts'

/** The pages of a broker. The same routes for all; name, colour and currency come from the broker's settings. */
export function createPages(rowhouse: Rowhouse, ownDomain: OwnDomain, log: Logger): Hono<BrokerageEnv> {
  const pages = new Hono<BrokerageEnv>()
  const { db } = rowhouse
  const show = async (c: Context<BrokerageEnv>, title: string, content: Child, status: Problem['status'] = 200) => {
    const visitor = c.get('visitor')
    const frame = { broker: await loadBroker(db), path: c.req.path, slug: rowhouse.currentTenant().slug, visitor }
    return c.html(
      <Layout frame={frame} title={title}>
        {content}
      </Layout>,
      status,
    )
  }
  const missing = (c: Context<BrokerageEnv>) =>
    show(c, 'Not found', <Message title="There is no such thing here">The address may be mistyped.</Message>, 404)

  pages.get('/', async (c) => {
    const [{ currency }, overview] = await Promise.all([loadBroker(db), loadOverview(db)])
    return show(c, 'Overview', <OverviewPage overview={overview} currency={currency} />)
  })

  pages.get('/quotes', async (c) => {
    const [{ currency }, market, quotes] = await Promise.all([
      loadBroker(db),
      loadMarket(db),
      listQuotes(db, readPage(c)),
    ])
    return show(c, 'Quotes', <QuotesPage quotes={quotes} market={market} currency={currency} />)
  })
  pages.post('/quotes', async (c) => {
    await makeQuote(db, await loadBroker(db), parseQuoteOrder(await readFields(c)))
    return c.redirect('/quotes', 303)
  })
  pages.post('/quotes/:id/bind', async (c) => {
    const id = findId(c)
    const policy = id && (await bindQuote(db, await loadBroker(db), id, isoDate(new Date())))
    return policy ? c.redirect(`/policies/${policy.id}`, 303) : missing(c)
  })

  pages.get('/policies', async (c) => {
    const filter = readPolicyFilter(c)
    const [{ currency }, list] = await Promise.all([loadBroker(db), listPolicies(db, filter)])
    return show(c, 'Policies', <PoliciesPage list={list} filter={filter} currency={currency} />)
  })
  pages.get('/policies/:id', async (c) => {
    const id = findId(c)
    const file = id === undefined ? undefined : await findPolicyFile(db, id)
    if (file === undefined) return missing(c)
    const { currency } = await loadBroker(db)
    return show(c, file.policy.number, <PolicyPage file={file} currency={currency} />)
  })

  pages.get('/commissions', async (c) => {
    const month = readMonth(c.req.query('month'))
    const [{ currency }, statement] = await Promise.all([loadBroker(db), readStatement(db, month)])
    return show(c, 'Commissions', <StatementPage statement={statement} currency={currency} />)
  })
  pages.post('/commissions/received', async (c) => {
    const fields = await readFields(c)
    const month = readMonth(fields.month)
    await bookPayment(db, { month, carrier: String(fields.carrier), on: isoDate(new Date()) })
    return c.redirect(`/commissions?month=${month}`, 303)
  })

  pages.get('/import', (c) => show(c, 'Import', <ImportPage />))
  pages.post('/import', async (c) => {
    const report = await importBook(db, await readBook(c))
    return show(c, 'Import', <ImportPage report={report} />)
  })

  const showSettings = async (c: Context<BrokerageEnv>, host: string, connected: boolean) => {
    const proof = host === '' ? undefined : ownDomain.proofOf(rowhouse.currentTenant().id, host)
    return show(c, 'Settings', <SettingsPage host={host} proof={proof} connected={connected} />)
  }
  pages.get('/settings', (c) =>
    isAdministrator(c) ? showSettings(c, hostIn(c.req.query('domain')), false) : missing(c),
  )
  pages.post('/settings/domain', async (c) => {
    if (!isAdministrator(c)) return missing(c)
    const host = hostIn((await readFields(c)).domain)
    await ownDomain.connect(rowhouse.currentTenant().id, host)
    return showSettings(c, host, true)
  })

  pages.get('*', missing)
  pages.onError((error, c) => {
    if (isTaken(error)) {
      return show(c, 'Not possible', <Message title="That does not work">This domain is in use.</Message>, 409)
    }
    // Where the frame itself cannot be loaded there is nothing to show: the application answers.
    if (!(error instanceof InputError)) throw error
    const { status, detail } = toProblem(error)
    log.debug({ err: error }, 'input refused')
    return show(c, 'Not possible', <Message title="That does not work">{detail}</Message>, status)
  })
  return pages
}

function isAdministrator(c: Context<BrokerageEnv>): boolean {
  const visitor = c.get('visitor')
  return visitor.kind === 'person' && visitor.member.role === 'administrator'
}

function isTaken(error: Error): boolean {
  return isRowhouseError(error) && error.code === 'ERR_TENANT_DOMAIN_TAKEN'
}

function hostIn(value: unknown): string {
  return typeof value === 'string' ? value.trim().toLowerCase().slice(0, 253) : ''
}
