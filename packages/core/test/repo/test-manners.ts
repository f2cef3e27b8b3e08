import ts from 'typescript'
import type { RepoFile } from '../../../../tools/repo-files.ts'

/** A title that says why a test does not always run. */
const REASON = /\b(because|needs|only|until)\b/

const DECLARERS: ReadonlySet<string> = new Set(['it', 'test', 'describe', 'suite'])

const MODIFIERS: ReadonlySet<string> = new Set(['only', 'skip', 'todo', 'skipIf', 'runIf'])

/** Says that a wait has an end and is no guess at how long something takes. */
const BOUNDED = /\/\/ bounded \w+/

/**
 * Returns what a test file does that makes its result worth less: a lone test that hides the others, a skip
 * nobody can judge, a sleep that hopes, a loop that burns the time of the tests beside it.
 */
export function findBadManners(file: RepoFile): string[] {
  const source = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, true)
  const sleepers = sleeperNames(source)
  const problems: string[] = []
  const report = (node: ts.Node, problem: string) => {
    const line = source.getLineAndCharacterOfPosition(node.getStart()).line
    problems.push(`${file.path}:${line + 1} ${problem}`)
  }
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      const modifier = testModifier(node)
      if (modifier === 'only') report(node, 'has .only, which hides every other test')
      if (modifier !== undefined && modifier !== 'only' && !REASON.test(titleOf(node))) {
        report(node, `has .${modifier} without a reason in the title: say "because", "needs", "only" or "until"`)
      }
      if (sleepers.has(node.expression.getText()) && !BOUNDED.test(restOfLine(source, node))) {
        report(node, 'sleeps: poll what is awaited, and mark the line with "// bounded poll"')
      }
    }
    if (ts.isWhileStatement(node) && readsClock(node.expression) && !/\bawait\b/.test(node.statement.getText())) {
      report(node, 'waits in a loop without giving way: await between the tries')
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return problems
}

/** Names under which `setTimeout` can be called in this file, the one of node:timers/promises included. */
function sleeperNames(source: ts.SourceFile): Set<string> {
  const names = new Set(['setTimeout', 'globalThis.setTimeout'])
  for (const statement of source.statements) {
    if (!ts.isImportDeclaration(statement) || !/^.(node:)?timers/.test(statement.moduleSpecifier.getText())) continue
    const bindings = statement.importClause?.namedBindings
    if (bindings === undefined) continue
    if (ts.isNamespaceImport(bindings)) names.add(`${bindings.name.text}.setTimeout`)
    else {
      for (const { name, propertyName } of bindings.elements) {
        if ((propertyName ?? name).text === 'setTimeout') names.add(name.text)
      }
    }
  }
  return names
}

/**
 * Returns how a declared test is held back or favoured: by `it.skip(…)`, `it.skipIf(…)(…)`, `describe.only.each(…)(…)`
 * or by `{ skip: true }` among its arguments; undefined when it is not, or when the call is only a part of such a chain.
 */
function testModifier(call: ts.CallExpression): string | undefined {
  if (ts.isCallExpression(call.parent) && call.parent.expression === call) return undefined
  if (ts.isPropertyAccessExpression(call.parent)) return undefined
  const names: string[] = []
  let callee: ts.Expression = call.expression
  while (ts.isPropertyAccessExpression(callee) || ts.isCallExpression(callee)) {
    if (ts.isPropertyAccessExpression(callee)) names.push(callee.name.text)
    callee = callee.expression
  }
  if (!DECLARERS.has(callee.getText())) return undefined
  const options = call.arguments.filter(ts.isObjectLiteralExpression).flatMap((each) => each.properties)
  return [...names, ...options.map((option) => option.name?.getText() ?? '')].find((name) => MODIFIERS.has(name))
}

function titleOf(call: ts.CallExpression): string {
  const title = call.arguments[0]
  return title !== undefined && (ts.isStringLiteralLike(title) || ts.isTemplateExpression(title)) ? title.getText() : ''
}

function restOfLine(source: ts.SourceFile, node: ts.Node): string {
  return source.text.slice(node.getStart(), source.text.indexOf('\n', node.getEnd()))
}

function readsClock(condition: ts.Expression): boolean {
  return /\b(Date|performance)\.now\(\)/.test(condition.getText())
}
