// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the samples are source code

import { noTenantFromInput } from '../../src/rules/no-tenant-from-input.ts'
import { javascript, typescript } from '../support/rule-tester.ts'

const chosen = (input: string) => ({
  message: `Cannot let the request choose its tenant: "${input}" is what the visitor sent; mount tenantFromRequest(rowhouse), whose sources are checked against each other, and use rowhouse.db or rowhouse.currentTenant()`,
})

javascript.run('no-tenant-from-input', noTenantFromInput, {
  valid: [
    `rowhouse.withTenant('acme', f)`,
    `rowhouse.withTenant(rowhouse.currentTenant().slug, f)`,
    `rowhouse.withTenant(req.tenant, f)`,
    `rowhouse.withTenant(req.user.tenantId, f)`,
    `rowhouse.withTenant(c.get('tenant'), f)`,
    `rowhouse.withTenant(c.var.tenant, f)`,
    `rowhouse.withTenant(job.data.tenantId, f)`,
    `function backup(params) { return rowhouse.withTenant(params.tenant, f) }`,
    `async () => { const { slug } = await db.one('select slug from t where id = $1', [req.params.id]); await rowhouse.withTenant(slug, f) }`,
    `rowhouse.withTenant(findTenant(req.body.tenant), f)`,
    `rowhouse.withTenant({ tenant: 'acme', actor: req.body.actor }, f)`,
    `rowhouse.withTenant(...args)`,
    `fetch(url, { headers: { 'x-tenant': tenant.slug, 'x-trace': req.headers['x-trace'] } })`,
    `const { 'x-tenant': named } = req.headers`,
    `rowhouse.withTenant(config.query, f)`,
  ],
  invalid: [
    { code: `rowhouse.withTenant(req.body.tenantId, f)`, errors: [chosen('req.body')] },
    { code: `rowhouse.withTenant(req.params.tenant, f)`, errors: [chosen('req.params')] },
    { code: `rowhouse.withTenant(c.req.query('tenant'), f)`, errors: [chosen(`c.req.query('tenant')`)] },
    { code: `rowhouse.withTenant(c.req.header('x-tenant'), f)`, errors: [chosen(`c.req.header('x-tenant')`)] },
    { code: `rowhouse.withTenant(request.headers['x-tenant-id'], f)`, errors: [chosen('request.headers')] },
    { code: `rowhouse.withTenant({ tenant: req.query.tenant, actor }, f)`, errors: [chosen('req.query')] },
    { code: `rowhouse.withTenant(String(req.query.tenant ?? 'acme').toLowerCase(), f)`, errors: [chosen('req.query')] },
    {
      code: `async (c) => { const { tenant } = await c.req.json(); await rowhouse.withTenant(tenant, f) }`,
      errors: [chosen('c.req.json()')],
    },
    {
      code: `f = (req) => { const slug = req.subdomains[0]; return withTenant(slug, g) }`,
      errors: [chosen('req.subdomains')],
    },
    { code: `f = ({ params }) => rowhouse.withTenant(params.tenant, g)`, errors: [chosen('params')] },
    { code: `f = ({ body: { tenantId } }) => rowhouse.withTenant(tenantId, g)`, errors: [chosen('tenantId')] },
    { code: 'rowhouse.withTenant(`${req.body.tenant}`, f)', errors: [chosen('req.body')] },
    { code: `rowhouse.withTenant(req.get('x-tenant'), f)`, errors: [chosen(`req.get('x-tenant')`)] },
    { code: `rowhouse.withTenant(request.nextUrl.searchParams.get('tenant'), f)`, errors: [chosen('request.nextUrl')] },
    { code: `fetch(url, { headers: { 'X-Tenant': req.query.tenant } })`, errors: [chosen('req.query')] },
    { code: `headers.set('x-rowhouse-tenant', req.body.tenant)`, errors: [chosen('req.body')] },
  ],
})

typescript.run('no-tenant-from-input in TypeScript', noTenantFromInput, {
  valid: [`rowhouse.withTenant(tenant as TenantId, f)`],
  invalid: [
    { code: `rowhouse.withTenant(req.body!.tenant as string, f)`, errors: [chosen('req.body')] },
    { code: `rowhouse.withTenant((<any>req).body.tenant, f)`, errors: [chosen('(<any>req).body')] },
  ],
})
