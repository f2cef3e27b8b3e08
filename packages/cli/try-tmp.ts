import { verifyModel } from '../proof/src/verify/verify-model.ts'
import { openExample } from './src/example.ts'

const e = await openExample()
try {
  for (const model of process.argv.slice(2) as ('schema' | 'database' | 'hybrid' | 'pooled')[]) {
    const r = await verifyModel({ adminUrl: e.adminUrl, appUrl: e.appUrl }, model)
    const bad = r.cells.filter((c) => c.verdict === 'leaked' || c.verdict === 'void')
    for (const c of bad.slice(0, 400)) console.log(c.verdict, c.attack, c.title, '|', c.target, '|', c.verb, '|', c.how)
    console.log(
      model,
      r.refused,
      'refused',
      r.leaked,
      'leaked',
      r.void,
      'void',
      r.notApplicable,
      'na',
      Math.round(r.elapsedMs),
      'ms',
      r.controls,
      r.uncloned,
      r.empty,
    )
  }
} finally {
  await e.stop()
}
