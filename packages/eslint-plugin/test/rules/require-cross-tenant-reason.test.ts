// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the samples are source code

import { requireCrossTenantReason } from '../../src/rules/require-cross-tenant-reason.ts'
import { javascript, typescript } from '../support/rule-tester.ts'

const missing = {
  message:
    'Cannot work across tenants without saying why: the reason is missing; pass { reason: "INC-42: …", actor, tenants }',
}
const placeholder = (reason: string) => ({
  message: `Cannot tell from "${reason}" why this work crosses tenants: it is kept in the log for whoever asks later; name an incident, a contract or a task, in 3 to 1 000 characters`,
})

javascript.run('require-cross-tenant-reason', requireCrossTenantReason, {
  valid: [
    `rowhouse.crossTenant({ reason: 'INC-42', actor, tenants: 'all' }, f)`,
    `rowhouse.crossTenant({ reason: 'test of the restore of 3 May', actor, tenants }, f)`,
    `rowhouse.crossTenant({ reason, actor, tenants }, f)`,
    'rowhouse.crossTenant({ reason: `${incident}` }, f)',
    `rowhouse.crossTenant({ ...asked }, f)`,
    `rowhouse.crossTenant(request, f)`,
    `rowhouse.crossTenant(...all)`,
    `const options = { reason: 'monthly report' }; rowhouse.crossTenant(options, f)`,
    `other({ reason: '' })`,
    { code: `rowhouse.crossTenant({ reason: 'INC-42: lost invoice' }, f)`, options: [{ pattern: '^INC-\\d+' }] },
    { code: 'rowhouse.crossTenant({ reason: `INC-${id}` }, f)', options: [{ pattern: '^INC-\\d+' }] },
  ],
  invalid: [
    { code: `rowhouse.crossTenant()`, errors: [missing] },
    { code: `rowhouse.crossTenant(async (across) => {})`, errors: [missing] },
    { code: `rowhouse.crossTenant({ actor, tenants: 'all' }, f)`, errors: [missing] },
    { code: `rowhouse.crossTenant({ reason: '  ' }, f)`, errors: [missing] },
    { code: `rowhouse.crossTenant({ reason: 'test' }, f)`, errors: [placeholder('test')] },
    { code: `rowhouse.crossTenant({ reason: 'TODO' }, f)`, errors: [placeholder('TODO')] },
    { code: `rowhouse.crossTenant({ reason: 'x' }, f)`, errors: [placeholder('x')] },
    { code: `rowhouse.crossTenant({ reason: 'xxxx' }, f)`, errors: [placeholder('xxxx')] },
    { code: `rowhouse.crossTenant({ reason: '...' }, f)`, errors: [placeholder('...')] },
    { code: `const WHY = 'n/a'; rowhouse.crossTenant({ reason: WHY }, f)`, errors: [placeholder('n/a')] },
    { code: `const options = { actor }; rowhouse.crossTenant(options, f)`, errors: [missing] },
    {
      code: `rowhouse.crossTenant({ reason: 'monthly report' }, f)`,
      options: [{ pattern: '^INC-\\d+' }],
      errors: [
        {
          message:
            'Cannot accept the reason "monthly report": this project wants reasons like /^INC-\\d+/; name the incident or task it asks for',
        },
      ],
    },
  ],
})

typescript.run('require-cross-tenant-reason in TypeScript', requireCrossTenantReason, {
  valid: [`rowhouse.crossTenant({ reason: 'INC-42' } as CrossTenantOptions, f)`],
  invalid: [{ code: `rowhouse.crossTenant({ reason: 'foo' as string } satisfies O, f)`, errors: [placeholder('foo')] }],
})
