import type { Rule, Scope } from 'eslint'
import { bare, type Node, type NodeOf, parentOf, propertyName } from '../syntax/nodes.ts'
import { fitsGlob } from '../syntax/path-glob.ts'
import { HARMLESS_EXPORTS, RAW_DRIVERS } from '../syntax/raw-drivers.ts'
import { findVariable } from '../syntax/variables.ts'

interface Options {
  /** Files that may connect on their own, e.g. migrations. */
  readonly allowFiles?: readonly string[]
  /** Further packages that connect to the database. */
  readonly modules?: readonly string[]
}

type TypeOnly = { readonly importKind?: string; readonly exportKind?: string }

/** Refuses connections that Rowhouse did not make: on them no statement has a tenant. */
export const noRawPool: Rule.RuleModule = {
  meta: {
    type: 'problem',
    docs: { description: 'Refuse database drivers imported beside Rowhouse', recommended: true },
    messages: {
      rawPool:
        'Cannot let application code connect with "{{module}}" itself: such a connection has no tenant; use rowhouse.db, or hand rowhouse.pool to the library that wants a pg.Pool. Operator code is named in the option "allowFiles"',
    },
    schema: [
      {
        type: 'object',
        properties: {
          allowFiles: { type: 'array', items: { type: 'string' }, uniqueItems: true },
          modules: { type: 'array', items: { type: 'string' }, uniqueItems: true },
        },
        additionalProperties: false,
      },
    ],
  },
  create(context) {
    const { allowFiles = [], modules = [] } = (context.options[0] ?? {}) as Options
    if (fitsGlob(context.filename, allowFiles)) return {}
    const isRaw = (module: string) => RAW_DRIVERS.has(module) || modules.includes(module)
    const check = (node: Node, module: unknown) => {
      if (typeof module !== 'string' || !isRaw(module)) return
      context.report({ node, messageId: 'rawPool', data: { module } })
    }
    const connects = (specifier: NodeOf<'ImportDeclaration'>['specifiers'][number]) => {
      if ((specifier as TypeOnly).importKind === 'type') return false
      if (specifier.type === 'ImportSpecifier') return !isHarmless(specifier.imported)
      const variable = findVariable(context.sourceCode, specifier.local)
      return variable === undefined || !variable.references.every(isHarmlessUse) || variable.references.length === 0
    }
    return {
      ImportDeclaration(node) {
        if ((node as TypeOnly).importKind === 'type') return
        if (node.specifiers.length > 0 && !node.specifiers.some(connects)) return
        check(node, node.source.value)
      },
      ExportNamedDeclaration(node) {
        if (!node.source || (node as TypeOnly).exportKind === 'type') return
        const isOpen = node.specifiers.some(
          (each) => (each as TypeOnly).exportKind !== 'type' && !isHarmless(each.local as Node),
        )
        if (isOpen) check(node, node.source.value)
      },
      ExportAllDeclaration(node) {
        if ((node as TypeOnly).exportKind !== 'type') check(node, node.source.value)
      },
      ImportExpression(node) {
        check(node as Node, staticText(node.source))
      },
      CallExpression(node) {
        const callee = bare(node.callee)
        if (callee.type !== 'Identifier' || callee.name !== 'require') return
        const [module] = node.arguments
        if (module !== undefined && !takesHarmless(node)) check(node, staticText(module))
      },
      TSImportEqualsDeclaration(node: Node) {
        const { importKind, moduleReference } = node as unknown as {
          importKind?: string
          moduleReference: { type: string; expression?: { value?: unknown } }
        }
        if (importKind !== 'type') check(node, moduleReference.expression?.value)
      },
    }
  },
}

function staticText(node: Node): string | undefined {
  const found = bare(node)
  if (found.type === 'Literal') return typeof found.value === 'string' ? found.value : undefined
  if (found.type !== 'TemplateLiteral' || found.expressions.length > 0) return undefined
  return found.quasis[0]?.value.cooked ?? undefined
}

function isHarmless(name: Node): boolean {
  if (name.type === 'Identifier') return HARMLESS_EXPORTS.has(name.name)
  return name.type === 'Literal' && HARMLESS_EXPORTS.has(String(name.value))
}

/** `pg.types` reads how values are parsed, `pg.Client` in a type is gone when the code runs. */
function isHarmlessUse({ identifier, ...reference }: Scope.Reference): boolean {
  if ((reference as { isTypeReference?: boolean }).isTypeReference === true) return true
  const parent = parentOf(identifier as Node)
  if (parent === undefined) return false
  if ((parent.type as string) === 'TSQualifiedName' || (parent.type as string) === 'TSTypeQuery') return true
  return parent.type === 'MemberExpression' && HARMLESS_EXPORTS.has(propertyName(parent) ?? '')
}

function takesHarmless(call: NodeOf<'CallExpression'>): boolean {
  const parent = parentOf(call)
  if (parent?.type === 'MemberExpression') return HARMLESS_EXPORTS.has(propertyName(parent) ?? '')
  if (parent?.type !== 'VariableDeclarator' || parent.id.type !== 'ObjectPattern') return false
  return parent.id.properties.every(
    (each) => each.type === 'Property' && HARMLESS_EXPORTS.has(propertyName(each) ?? ''),
  )
}
