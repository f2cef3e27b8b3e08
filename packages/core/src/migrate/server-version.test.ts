import { describe, expect, it } from 'vitest'
import { assertServerVersion } from './server-version.ts'

describe('assertServerVersion()', () => {
  it.each([150018, 150020, 160014, 170010, 180004, 190000, 200001])('accepts %i', (version) => {
    expect(() => assertServerVersion(version)).not.toThrow()
  })

  it.each([
    [150017, '15.17'],
    [160013, '16.13'],
    [170009, '17.9'],
    [180003, '18.3'],
    [140022, '14.22'],
    [0, '0.0'],
  ])('refuses %i and says what is wanted', (version, shown) => {
    expect(() => assertServerVersion(version)).toThrow(
      expect.objectContaining({
        code: 'ERR_SERVER_UNSUPPORTED',
        message: `Cannot install into PostgreSQL ${shown}: wanted at least 15.18, 16.14, 17.10, 18.4; update the server first`,
      }),
    )
  })
})
