import * as parser from '@typescript-eslint/parser'
import { RuleTester } from 'eslint'
import { describe, it } from 'vitest'

RuleTester.describe = describe
RuleTester.it = it
RuleTester.itOnly = it.only

/** Runs a rule on JavaScript, with the parser ESLint brings. */
export const javascript = new RuleTester()

/** Runs a rule on TypeScript and TSX. */
export const typescript = new RuleTester({ languageOptions: { parser } })
