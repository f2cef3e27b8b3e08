import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { compareErrorCodes, readErrorCodes, readErrorReference } from '../../../../tools/error-codes.ts'
import { root } from './repository.ts'

const codes = readErrorCodes(read('packages/core/src/errors.ts'))
const refusals = 'packages/core/src/adapters/refusal.ts'

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

describe('error codes', () => {
  it('are read from the source, because an empty list would equal an empty page', () => {
    expect(codes.get('ERR_TENANT_SUSPENDED')).toEqual({ class: 'TenantError', retryable: false })
    expect(codes.get('ERR_TENANT_MOVING')).toEqual({ class: 'UnavailableError', retryable: true })
    expect(codes.size).toBeGreaterThan(30)
  })

  it('are those of the reference, because an error nobody can look up helps nobody', () => {
    expect(compareErrorCodes(codes, readErrorReference(read('docs/reference/errors.md')))).toEqual([])
  })

  it.skipIf(!existsSync(join(root, refusals)))(
    'all have a status, because a code without one would answer 200 or crash (needs adapters/refusal.ts)',
    () => {
      const table = /\{([^{}]*)\}\s*(?:as const\s+)?satisfies\s+(?:Readonly<)?Record<RowhouseErrorCode,/.exec(
        read(refusals),
      )
      const listed = [...(table?.[1] ?? '').matchAll(/^\s*(ERR_[A-Z_]+):/gm)].map((match) => match[1])
      expect(listed.toSorted()).toEqual([...codes.keys()].toSorted())
    },
  )
})
