import type { Rule, Scope, SourceCode } from 'eslint'
import { isDatabase } from '../syntax/database-call.ts'
import {
  bare,
  calledMethod,
  enclosingFunction,
  lastName,
  type Node,
  type NodeOf,
  outside,
  parentOf,
  propertyName,
  someInside,
} from '../syntax/nodes.ts'
import { mentionsTenant } from '../syntax/tenant-name.ts'
import { findImport, findVariable, isModuleLevel } from '../syntax/variables.ts'

/** Batches the calls of one tick: two tenants' keys in one batch, loaded as the tenant who came first. */
const LOADERS: ReadonlySet<string> = new Set(['DataLoader', 'Dataloader', 'BatchLoader'])

/** Classes whose instances keep what they are given. */
const CACHES: ReadonlySet<string> = new Set([
  'LRU',
  'LRUCache',
  'LRUMap',
  'NodeCache',
  'QuickLRU',
  'TTLCache',
  'Keyv',
  'CacheableMemory',
])
const MAPS: ReadonlySet<string> = new Set(['Map', 'WeakMap'])

/** Functions that remember the results of another one by its arguments. React's `cache` lives for one request. */
const MEMOIZERS: ReadonlySet<string> = new Set([
  'memoize',
  'memoizee',
  'memoizeOne',
  'memo',
  'moize',
  'pMemoize',
  'mem',
  'unstable_cache',
])
/** Packages whose default export memoizes under whatever name it is imported. */
const MEMOIZER_MODULES =
  /^(?:lodash[./-]memoize|lodash-es\/memoize|mem|memoize(?:-one|e)?|micro-memoize|moize|nano-memoize|p-memoize)$/

/** Keys of a WeakMap that are one request's own, so that nobody else can have them. */
const REQUEST_NAME = /^(?:c|ctx|context|req|request|event)$|(?:Context|Request)$/

const LOADING = /^(?:load|fetch|find|read|list|get|query|select|count)(?:[A-Z_]|$)/

interface Options {
  /** Names of variables that hold nothing of a tenant. */
  readonly allow?: readonly string[]
}

/** Refuses what is remembered for the whole process although it belongs to one tenant. */
export const noModuleLevelTenantCache: Rule.RuleModule = {
  meta: {
    type: 'problem',
    docs: { description: 'Refuse caches and loaders of the module whose keys name no tenant', recommended: true },
    messages: {
      loader:
        'Cannot share "{{name}}" between tenants: it batches keys of all who ask in one tick and loads them as the first; make one per request, in the function that uses it',
      cache:
        'Cannot share "{{name}}" between tenants: what one tenant\'s work stores here, the next one reads; begin the key with rowhouse.currentTenant().id, or make one per request. What holds nothing of a tenant is named in the option "allow"',
      memoized:
        'Cannot share "{{name}}" between tenants: it remembers the first tenant\'s result for all; take the tenant\'s id into its key, or call the function itself',
      singleFlight:
        'Cannot share "{{name}}" between tenants: the first one\'s result is kept for all; keep it in a Map by rowhouse.currentTenant().id, or load it per request',
    },
    schema: [
      {
        type: 'object',
        properties: { allow: { type: 'array', items: { type: 'string' }, uniqueItems: true } },
        additionalProperties: false,
      },
    ],
  },
  create(context) {
    const source = context.sourceCode
    const allowed = new Set(((context.options[0] ?? {}) as Options).allow ?? [])
    const check = (holder: Node, name: string, init: Node | null | undefined, writes: () => CacheWrite[]) => {
      if (allowed.has(name)) return
      const messageId = judgeInit(source, init ? bare(init) : undefined, writes)
      if (messageId !== undefined) context.report({ node: holder, messageId, data: { name } })
    }
    return {
      VariableDeclarator(node) {
        if (node.id.type !== 'Identifier' || enclosingFunction(node) !== undefined) return
        const variable = findVariable(source, node.id)
        if (variable === undefined || !isModuleLevel(variable)) return
        const writes = () => variable.references.flatMap((each) => findWrite(each.identifier as Node) ?? [])
        if (!allowed.has(node.id.name) && keepsOneResult(source, variable)) {
          context.report({ node: node.id, messageId: 'singleFlight', data: { name: node.id.name } })
          return
        }
        check(node.id, node.id.name, node.init, writes)
      },
      PropertyDefinition(node) {
        if (!node.static || node.computed || !node.value) return
        const name = node.key.type === 'Identifier' || node.key.type === 'PrivateIdentifier' ? node.key.name : undefined
        const body = parentOf(node)
        if (name === undefined || body === undefined) return
        check(node.key as Node, name, node.value, () => findMemberWrites(source, body, name))
      },
    }
  },
}

interface CacheWrite {
  readonly key: Node
  /** False for what the module itself fills in while it loads. */
  readonly atRunTime: boolean
}

function judgeInit(source: SourceCode, init: Node | undefined, writes: () => CacheWrite[]): string | undefined {
  if (init === undefined) return undefined
  if (init.type === 'CallExpression')
    return isMemoizer(source, init) && !keyedByTenant(source, init) ? 'memoized' : undefined
  if (init.type === 'ObjectExpression') return isSharedByWrites(source, writes(), false) ? 'cache' : undefined
  if (init.type !== 'NewExpression') return undefined
  const className = lastName(init.callee as Node) ?? ''
  if (LOADERS.has(className)) return 'loader'
  if (namesTenantAsKey(source, init)) return undefined
  if (CACHES.has(className)) {
    const found = writes()
    return found.length === 0 || isSharedByWrites(source, found, false) ? 'cache' : undefined
  }
  if (!MAPS.has(className)) return undefined
  return isSharedByWrites(source, writes(), className === 'WeakMap') ? 'cache' : undefined
}

function isSharedByWrites(source: SourceCode, writes: readonly CacheWrite[], isWeak: boolean): boolean {
  return writes.some(({ key, atRunTime }) => {
    if (!atRunTime || mentionsTenant(source, key)) return false
    return !isWeak || !REQUEST_NAME.test(lastName(key) ?? '')
  })
}

/** `new Map<TenantId, …>()`: the type says what the keys are. */
function namesTenantAsKey(source: SourceCode, init: NodeOf<'NewExpression'>): boolean {
  const typed = init as { typeArguments?: { params: Node[] }; typeParameters?: { params: Node[] } }
  const [key] = (typed.typeArguments ?? typed.typeParameters)?.params ?? []
  return key !== undefined && /tenant/i.test(source.getText(key))
}

function isMemoizer(source: SourceCode, call: NodeOf<'CallExpression'>): boolean {
  const name = calledMethod(call)?.name ?? ''
  const callee = bare(call.callee)
  const variable = callee.type === 'Identifier' ? findVariable(source, callee) : undefined
  const imported = variable && findImport(variable)
  if (imported === undefined) return MEMOIZERS.has(name)
  // `memo` of React is a component, not a cache.
  if (imported.module === 'react') return false
  return MEMOIZER_MODULES.test(imported.module) || MEMOIZERS.has(imported.name) || MEMOIZERS.has(name)
}

/** A memoized function keeps tenants apart when a tenant is among its arguments or in the function that makes the key. */
function keyedByTenant(source: SourceCode, call: NodeOf<'CallExpression'>): boolean {
  const [fn, ...rest] = call.arguments
  if (rest.some((argument) => mentionsTenant(source, argument))) return true
  const found = fn && bare(fn)
  if (found?.type !== 'ArrowFunctionExpression' && found?.type !== 'FunctionExpression') return false
  return found.params[0] !== undefined && mentionsTenant(source, found.params[0])
}

/** Returns the key under which a use of a cache writes into it; undefined when it only reads. */
function findWrite(identifier: Node): CacheWrite | undefined {
  const { parent: member, child } = outside(identifier)
  if (member?.type !== 'MemberExpression' || member.object !== child) return undefined
  const atRunTime = enclosingFunction(member) !== undefined
  const { parent: use, child: used } = outside(member)
  if (use?.type === 'AssignmentExpression' && use.left === used) {
    // A key that is written out is one place in the program: `state.started = true` keeps no tenant's rows.
    return member.computed && member.property.type !== 'Literal'
      ? { key: member.property as Node, atRunTime }
      : undefined
  }
  if (use?.type !== 'CallExpression' || use.callee !== used || propertyName(member) !== 'set') return undefined
  const [key] = use.arguments
  return key === undefined ? undefined : { key, atRunTime }
}

function findMemberWrites(source: SourceCode, body: Node, name: string): CacheWrite[] {
  const found: CacheWrite[] = []
  someInside(
    body,
    (node) => {
      const write = node.type === 'MemberExpression' && propertyName(node) === name ? findWrite(node) : undefined
      if (write !== undefined) found.push(write)
      return false
    },
    source.visitorKeys,
  )
  return found
}

/** `let rates; function load() { return (rates ??= db.many(…)) }`: the classic of the first one who asks. */
function keepsOneResult(source: SourceCode, variable: Scope.Variable): boolean {
  return variable.references.some(({ identifier, writeExpr, init }) => {
    if (init || !writeExpr || enclosingFunction(identifier as Node) === undefined) return false
    return someInside(writeExpr as Node, (node) => node.type === 'CallExpression' && isLoad(node), source.visitorKeys)
  })
}

function isLoad(call: NodeOf<'CallExpression'>): boolean {
  const called = calledMethod(call)
  if (called === undefined) return false
  if (called.receiver !== undefined && isDatabase(called.receiver)) {
    return /^(?:query|many|one|maybeOne|withTenant|select|selectFrom|execute)$/.test(called.name)
  }
  return (
    LOADING.test(called.name) && call.arguments.some((each) => /^(?:db|tx|trx)$/.test(lastName(each as Node) ?? ''))
  )
}
