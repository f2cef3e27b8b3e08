import { posix } from 'node:path'
import type { RepoFile } from './repo-files.ts'

/**
 * Returns the relative links of the pages that lead to no file of the repository, or to a heading that its page
 * does not have. Links in code are no links; addresses of the web are not visited.
 */
export function findBrokenLinks(pages: readonly RepoFile[], paths: ReadonlySet<string>): string[] {
  const anchors = new Map(pages.map((page) => [page.path, headingAnchors(page.text)]))
  return pages.flatMap((page) =>
    readLinks(page).flatMap(({ line, target }) => {
      const [file = '', anchor] = target.split('#')
      const path = file === '' ? page.path : posix.join(posix.dirname(page.path), decodeURI(file))
      const at = `${page.path}:${line} links to "${target}":`
      if (!isThere(path, paths)) return [`${at} there is no "${path}"`]
      const known = anchors.get(path)
      if (anchor === undefined || known === undefined || known.has(anchor)) return []
      return [`${at} "${path}" has no heading "#${anchor}"`]
    }),
  )
}

function readLinks(page: RepoFile): { line: number; target: string }[] {
  return blankCode(page.text)
    .split('\n')
    .flatMap((text, index) => {
      const inline = [...text.matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g)]
      const references = [...text.matchAll(/^\s*\[[^\]]+\]:\s+(\S+)/g)]
      const html = [...text.matchAll(/\b(?:src|href)="([^"]+)"/g)]
      return [...inline, ...references, ...html].map((match) => ({ line: index + 1, target: match[1] ?? '' }))
    })
    .filter(({ target }) => !/^[a-z][a-z+.-]*:|^\/\//i.test(target))
}

/** Replaces code by blanks of the same number of lines, so that line numbers stay true. */
function blankCode(markdown: string): string {
  return markdown
    .replace(/^( *)(```+|~~~+)[^\n]*\n[\s\S]*?^\1\2[^\n]*$/gm, (block) => block.replace(/[^\n]/g, ''))
    .replace(/(`+)[^`\n]+\1/g, '')
}

/** Anchors as GitHub makes them: lower case, punctuation dropped, blanks to hyphens, a number on repeats. */
function headingAnchors(markdown: string): Set<string> {
  const anchors = new Set<string>()
  const fenceless = markdown.replace(/^( *)(```+|~~~+)[^\n]*\n[\s\S]*?^\1\2[^\n]*$/gm, '')
  for (const [, heading = ''] of fenceless.matchAll(/^#{1,6}\s+(.*?)\s*#*$/gm)) {
    const text = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    const anchor = text
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-')
    let unique = anchor
    for (let copy = 1; anchors.has(unique); copy += 1) unique = `${anchor}-${copy}`
    anchors.add(unique)
  }
  for (const [, id = ''] of markdown.matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(id)
  return anchors
}

function isThere(path: string, paths: ReadonlySet<string>): boolean {
  if (path === '.' || paths.has(path)) return true
  const folder = path.endsWith('/') ? path : `${path}/`
  for (const known of paths) if (known.startsWith(folder)) return true
  return false
}
