const SPECIAL = /[\\^$.+()|[\]]/g

/**
 * Tells whether a file's path fits one of the globs: `*` within a folder, `**` across folders, `?`, `{a,b}`.
 *
 * A glob fits the end of the path, so that `src/operator/**` works from any working folder.
 */
export function fitsGlob(path: string, globs: readonly string[]): boolean {
  const normal = path.replaceAll('\\', '/')
  return globs.some((glob) => toRegExp(glob).test(normal))
}

function toRegExp(glob: string): RegExp {
  const source = glob
    .replace(/^(?:\.?\/|\*\*\/)+/, '')
    .replace(SPECIAL, '\\$&')
    .replaceAll(/\*\*\/|\*\*|\*|\?|\{[^}]*\}/g, (token) => {
      if (token === '**/') return '(?:[^/]+/)*'
      if (token === '**') return '.*'
      if (token === '*') return '[^/]*'
      if (token === '?') return '[^/]'
      return `(?:${token.slice(1, -1).split(',').join('|')})`
    })
  return new RegExp(`(?:^|/)${source}$`)
}
