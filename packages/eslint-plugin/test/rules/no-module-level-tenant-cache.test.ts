import { noModuleLevelTenantCache } from '../../src/rules/no-module-level-tenant-cache.ts'
import { javascript, typescript } from '../support/rule-tester.ts'

const found = (messageId: string, name: string) => ({ messageId, data: { name } })

javascript.run('no-module-level-tenant-cache', noModuleLevelTenantCache, {
  valid: [
    // Constants.
    `const NAMES = new Map([['a', 1]]); export const f = (x) => NAMES.get(x)`,
    `const index = new Map(); for (const x of LIST) index.set(x.id, x)`,
    `const state = {}; function start() { state.started = true; state['x'] = 1 }`,
    // One per request.
    `function f(db) { const loader = new DataLoader((ids) => load(db, ids)); const m = new Map(); m.set(1, 2) }`,
    `const loaderOf = (db) => new DataLoader((ids) => load(db, ids))`,
    `class A { #cache = new Map(); f(k) { this.#cache.set(k, 1) } }`,
    // A tenant in the key.
    `const cache = new Map(); function f(tenantId, k) { cache.set(\`\${tenantId}:\${k}\`, 1) }`,
    `const cache = new Map(); function f(k) { cache.set(rowhouse.currentTenant().id + k, 1) }`,
    `const cache = new Map(); function f(k) { const { tenant } = context; const key = [tenant.id, k].join(); cache.set(key, 1) }`,
    `const cache = {}; function f(k) { cache[tenantOf(k)] = 1 }`,
    `const cache = new Map(); function f(k) { cache.set(keyOf(k), 1) } function keyOf(k) { return rowhouse.currentTenant().id + k }`,
    `const cache = new LRUCache({ max: 9 }); export const f = (k) => cache.set(tenantKey(k), 1)`,
    `const load = pMemoize(f, { cacheKey: ([x]) => currentTenant().id + x })`,
    `const load = memoize((tenantId) => f(tenantId))`,
    // One request's own object.
    `const started = new WeakMap(); export const f = (req) => started.set(req, Date.now())`,
    {
      code: `const sockets = new Map(); export const f = (id, s) => sockets.set(id, s)`,
      options: [{ allow: ['sockets'] }],
    },
    // The process's own singletons.
    `let rowhouse; export const f = async () => (rowhouse ??= await createRowhouse({}))`,
    `let started = false; export function f() { started = true }`,
    `import { cache } from 'react'; export const f = cache(() => db.many('select 1'))`,
    `import { memo } from 'react'; export const C = memo(() => null)`,
    `const x = new Set(); export const f = (a) => x.add(a)`,
  ],
  invalid: [
    {
      code: `export const loader = new DataLoader((ids) => db.many('select 1', [ids]))`,
      errors: [
        {
          message:
            'Cannot share "loader" between tenants: it batches keys of all who ask in one tick and loads them as the first; make one per request, in the function that uses it',
        },
      ],
    },
    {
      code: `const cache = new Map(); export function f(id) { cache.set(id, 1) }`,
      errors: [
        {
          message:
            'Cannot share "cache" between tenants: what one tenant\'s work stores here, the next one reads; begin the key with rowhouse.currentTenant().id, or make one per request. What holds nothing of a tenant is named in the option "allow"',
        },
      ],
    },
    {
      code: `const load = memoize(loadRates)`,
      errors: [
        {
          message:
            'Cannot share "load" between tenants: it remembers the first tenant\'s result for all; take the tenant\'s id into its key, or call the function itself',
        },
      ],
    },
    {
      code: `let rates; export const f = () => (rates ??= db.many('select 1'))`,
      errors: [
        {
          message:
            'Cannot share "rates" between tenants: the first one\'s result is kept for all; keep it in a Map by rowhouse.currentTenant().id, or load it per request',
        },
      ],
    },
    {
      code: `let p; export async function f(db) { if (!p) p = loadCompany(db); return p }`,
      errors: [found('singleFlight', 'p')],
    },
    {
      code: `let r; export async function f() { r = await rowhouse.withTenant('a', (db) => db.one('')) }`,
      errors: [found('singleFlight', 'r')],
    },
    { code: `const cache = {}; export const f = (k, v) => { cache[k] = v }`, errors: [found('cache', 'cache')] },
    { code: `const cache = {}; export const f = (k, v) => (cache[k] ??= v)`, errors: [found('cache', 'cache')] },
    {
      code: `const byRow = new WeakMap(); export const f = (row) => byRow.set(row, 1)`,
      errors: [found('cache', 'byRow')],
    },
    { code: `const c = new LRUCache({ max: 5 })`, errors: [found('cache', 'c')] },
    {
      code: `import { LRUCache } from 'lru-cache'; export const c = new LRUCache({ max: 5 }); const f = (k) => c.set(k, 1)`,
      errors: [found('cache', 'c')],
    },
    { code: `import once from 'p-memoize'; const f = once(g)`, errors: [found('memoized', 'f')] },
    {
      code: `import _ from 'lodash'; const f = _.memoize((id) => db.one('select 1', [id]))`,
      errors: [found('memoized', 'f')],
    },
    {
      code: `import { unstable_cache } from 'next/cache'; export const f = unstable_cache(async () => db.many('select 1'))`,
      errors: [found('memoized', 'f')],
    },
    { code: `class A { static #cache = new Map(); f(k) { A.#cache.set(k, 1) } }`, errors: [found('cache', 'cache')] },
    { code: `class A { static loader = new DataLoader(f) }`, errors: [found('loader', 'loader')] },
    // A tenant in the value is none in the key.
    { code: `const c = new Map(); export const f = (k, tenant) => c.set(k, tenant)`, errors: [found('cache', 'c')] },
    { code: `const c = new Map(); export const f = (k) => { if (x) c?.set(k, 1) }`, errors: [found('cache', 'c')] },
  ],
})

typescript.run('no-module-level-tenant-cache in TypeScript', noModuleLevelTenantCache, {
  valid: [
    `const contexts = new WeakMap<Tenant, Context>(); export const f = (k: Tenant) => contexts.set(k, 1)`,
    `const cache = new Map<string, Row>(); export const f = (key: TenantKey) => cache.set(key, 1)`,
    `const cache: Map<string, Row> = new Map(); function f(c: TenantContext) { cache.set(keyOf(c), 1) }`,
  ],
  invalid: [
    {
      code: `const cache = new Map<string, Row>(); export const f = (k: string) => cache!.set(k, 1)`,
      errors: [found('cache', 'cache')],
    },
    { code: `const loader = new DataLoader<string, Row>(f) as Loader`, errors: [found('loader', 'loader')] },
  ],
})
