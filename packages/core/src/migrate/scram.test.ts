import { describe, expect, it } from 'vitest'
import { scramVerifier } from './scram.ts'

describe('scramVerifier()', () => {
  it('computes the verifier of RFC 7677, section 3', () => {
    // The example there: password "pencil", this salt, 4096 iterations. Its signatures belong to these two keys.
    const verifier = scramVerifier('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'))
    expect(verifier).toBe(
      'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
    )
  })

  it('salts: the same password never gives the same text', () => {
    expect(scramVerifier('pencil')).not.toBe(scramVerifier('pencil'))
  })

  it('holds nothing that a literal would have to escape, whatever the password', () => {
    expect(scramVerifier(`'; drop table x; --\\`)).toMatch(
      /^SCRAM-SHA-256\$4096:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+$/,
    )
  })
})
