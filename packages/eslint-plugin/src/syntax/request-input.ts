import type { SourceCode } from 'eslint'
import { bare, calledMethod, type Node, type NodeOf, parentOf, propertyName } from './nodes.ts'
import { findVariable } from './variables.ts'

/** How a request is called, in Express, Fastify, Hono, Koa, Next and plain Node. */
const REQUEST = /^(?:c|ctx|context|event|r|req|request|nextRequest)$|(?:Req|Request)$/

/** Parts of a request that its sender writes. */
const SENT: ReadonlySet<string> = new Set([
  'body',
  'cookies',
  'formData',
  'get',
  'header',
  'headers',
  'host',
  'hostname',
  'json',
  'nextUrl',
  'originalUrl',
  'param',
  'params',
  'parseBody',
  'queries',
  'query',
  'rawHeaders',
  'searchParams',
  'subdomains',
  'text',
  'url',
  'valid',
])

/** Parts of a handler's destructured parameter that its caller writes: `({ params, body }) => …`. */
const SENT_PARTS: ReadonlySet<string> = new Set(['body', 'cookies', 'headers', 'params', 'query', 'searchParams'])

const MAX_DEPTH = 6

/** Returns the expression by which a value comes straight from a request; undefined when it does not, or out of sight. */
export function findRequestInput(source: SourceCode, node: Node, depth = 0): Node | undefined {
  const found = bare(node)
  if (depth > MAX_DEPTH) return undefined
  const follow = (part: Node) => findRequestInput(source, part, depth + 1)
  switch (found.type) {
    case 'AwaitExpression':
      return follow(found.argument)
    case 'TemplateLiteral':
      return first(found.expressions, follow)
    case 'LogicalExpression':
      return follow(found.left) ?? follow(found.right)
    case 'ConditionalExpression':
      return follow(found.consequent) ?? follow(found.alternate)
    case 'BinaryExpression':
      if (found.operator !== '+' || found.left.type === 'PrivateIdentifier') return undefined
      return follow(found.left) ?? follow(found.right)
    case 'Identifier':
      return fromVariable(source, found, follow)
    case 'MemberExpression':
      return isSent(found) ? found : found.object.type === 'Super' ? undefined : follow(found.object)
    case 'CallExpression':
      return fromCall(found, follow)
    default:
      return undefined
  }
}

function fromCall(call: NodeOf<'CallExpression'>, follow: (node: Node) => Node | undefined): Node | undefined {
  const callee = bare(call.callee)
  if (callee.type === 'MemberExpression') {
    if (isSent(callee)) return call
    // `c.get('tenant')` is what earlier middleware decided; `c.req.get('x-tenant')` is caught above.
    return callee.object.type === 'Super' ? undefined : follow(callee.object)
  }
  const [argument] = call.arguments
  // String(x), decodeURIComponent(x), asTenantId(x): the value stays the visitor's. A lookup (`find…`) decides.
  const keeps = /^(?:String|decodeURI(?:Component)?|as[A-Z]|to[A-Z]|parse[A-Z]|normali[sz]e)/
  return argument !== undefined && keeps.test(calledMethod(call)?.name ?? '') ? follow(argument) : undefined
}

/** Tells whether a member is the request's own part: `req.body`, `c.req.query`, `this.request.headers`. */
function isSent(member: NodeOf<'MemberExpression'>): boolean {
  const name = propertyName(member)
  if (name === undefined || !SENT.has(name) || member.object.type === 'Super') return false
  const owner = bare(member.object)
  const ownerName =
    owner.type === 'MemberExpression' ? propertyName(owner) : owner.type === 'Identifier' ? owner.name : ''
  if (ownerName === undefined || !REQUEST.test(ownerName)) return false
  // Contexts of Hono and Koa keep decisions under get() and the like; only their request is the visitor's.
  return name !== 'get' || /req/i.test(ownerName)
}

function fromVariable(
  source: SourceCode,
  name: NodeOf<'Identifier'>,
  follow: (node: Node) => Node | undefined,
): Node | undefined {
  const variable = findVariable(source, name)
  const [definition] = variable?.defs ?? []
  if (definition?.type === 'Variable') return definition.node.init ? follow(definition.node.init) : undefined
  if (definition?.type !== 'Parameter') return undefined
  // Of `({ params }) => params.tenant` only the pattern says that this is a request's part.
  const property = patternProperty(definition.name as Node)
  return property !== undefined && SENT_PARTS.has(property) ? name : undefined
}

/** Returns the outermost property of a destructured parameter that a name lies in. */
function patternProperty(name: Node): string | undefined {
  let found: string | undefined
  let node: Node | undefined = name
  while (node !== undefined) {
    const parent: Node | undefined = parentOf(node)
    if (parent?.type === 'Property') found = propertyName(parent)
    else if (parent?.type !== 'ObjectPattern' && parent?.type !== 'AssignmentPattern') return found
    node = parent
  }
  return found
}

function first<T>(items: readonly T[], find: (item: T) => Node | undefined): Node | undefined {
  for (const item of items) {
    const found = find(item)
    if (found !== undefined) return found
  }
  return undefined
}
