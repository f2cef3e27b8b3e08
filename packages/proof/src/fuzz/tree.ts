/**
 * SQL as a tree that knows where it can be cut.
 *
 * - text: what has no smaller form.
 * - sequence: parts, one after the other.
 * - list: items with a separator; any of them may go while `minimum` are left. Empty, it renders to nothing, `before`
 *   and `after` included: a WHERE without conditions is no WHERE.
 * - choice: a part that can be replaced by one of its `smaller` stand-ins, of the same SQL type.
 */
export type Tree =
  | string
  | { readonly kind: 'sequence'; readonly parts: readonly Tree[] }
  | {
      readonly kind: 'list'
      readonly items: readonly Tree[]
      readonly separator: string
      readonly minimum: number
      readonly before: string
      readonly after: string
    }
  | { readonly kind: 'choice'; readonly part: Tree; readonly smaller: readonly Tree[] }

type ListShape = { separator?: string; minimum?: number; before?: string; after?: string }

/** Makes a sequence from a template. */
export function sql(texts: TemplateStringsArray, ...parts: readonly (Tree | number)[]): Tree {
  const all: Tree[] = []
  texts.forEach((text, index) => {
    if (text !== '') all.push(text)
    const part = parts[index]
    if (part !== undefined) all.push(typeof part === 'number' ? String(part) : part)
  })
  return { kind: 'sequence', parts: all }
}

export function list(items: readonly Tree[], shape: ListShape = {}): Tree {
  return { kind: 'list', items, separator: ', ', minimum: 0, before: '', after: '', ...shape }
}

/** A part that may be left out. */
export function optional(part: Tree | undefined): Tree {
  return list(part === undefined ? [] : [part])
}

export function choice(part: Tree, ...smaller: readonly Tree[]): Tree {
  return { kind: 'choice', part, smaller }
}

export function render(tree: Tree): string {
  if (typeof tree === 'string') return tree
  switch (tree.kind) {
    case 'sequence':
      return tree.parts.map(render).join('')
    case 'choice':
      return render(tree.part)
    case 'list':
      return tree.items.length === 0 ? '' : tree.before + tree.items.map(render).join(tree.separator) + tree.after
  }
}

/** Yields the trees that are one cut smaller, the largest cuts first. Not all are valid SQL: whoever asks runs them. */
export function* cuts(tree: Tree): Generator<Tree> {
  if (typeof tree === 'string') return
  switch (tree.kind) {
    case 'sequence':
      for (const [index, part] of tree.parts.entries())
        for (const cut of cuts(part)) yield { ...tree, parts: tree.parts.with(index, cut) }
      return
    case 'choice':
      yield* tree.smaller
      for (const part of cuts(tree.part)) yield { ...tree, part }
      return
    case 'list':
      if (tree.minimum === 0 && tree.items.length > 1) yield { ...tree, items: [] }
      if (tree.items.length > tree.minimum)
        for (const index of tree.items.keys()) yield { ...tree, items: tree.items.toSpliced(index, 1) }
      for (const [index, item] of tree.items.entries())
        for (const cut of cuts(item)) yield { ...tree, items: tree.items.with(index, cut) }
  }
}
