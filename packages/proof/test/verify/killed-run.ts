/** A run in a process of its own, which a test kills in the middle; it says when there is something to leave behind. */

import { verify } from '../../src/verify/verify.ts'

const [adminUrl = '', appUrl = ''] = process.argv.slice(2)

await verify({
  adminUrl,
  appUrl,
  onProgress: (done) => {
    if (done === 1) process.send?.('middle')
  },
})
