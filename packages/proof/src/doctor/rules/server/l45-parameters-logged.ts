import { type Rule, SURVEYED } from '../../rule.ts'
import { roleSetting } from './server-facts.ts'

const LOGGING = [
  'log_parameter_max_length',
  'log_parameter_max_length_on_error',
  'log_statement',
  'log_min_duration_statement',
  'log_min_duration_sample',
  'auto_explain.log_min_duration',
  'auto_explain.log_parameter_max_length',
]

export const parametersLogged: Rule = {
  id: 'L45',
  name: 'parameters-logged',
  severity: 'error',
  title: 'Log that prints the parameters of statements',
  why: 'Parameters are the data of tenants, and the seal of each statement is one of them: who reads the log within the life of a seal is that tenant. Logs are copied to more places, kept longer and read by more people than tables.',
  remedy:
    'Log statements without their parameters. `log_statement` and `log_min_duration_statement` stay useful: the text of a parameterised statement holds no data.',
  applies: 'any',
  sql: `with ${SURVEYED}, ${roleSetting(LOGGING)},
    said as (
      select r.role, coalesce(max(r.value) filter (where r.name = 'log_parameter_max_length'), '-1') as length,
             coalesce(max(r.value) filter (where r.name = 'log_parameter_max_length_on_error'), '0') as length_on_error,
             coalesce(max(r.value) filter (where r.name = 'log_statement'), 'none') in ('mod', 'all')
               or coalesce(max(r.value) filter (where r.name = 'log_min_duration_statement'), '-1') !~ '^-'
               or coalesce(max(r.value) filter (where r.name = 'log_min_duration_sample'), '-1') !~ '^-' as statements,
             coalesce(max(r.value) filter (where r.name = 'auto_explain.log_min_duration'), '-1') !~ '^-'
               and coalesce(max(r.value) filter (where r.name = 'auto_explain.log_parameter_max_length'), '-1') !~ '^0' as plans
        from role_setting r group by r.role)
    select format('role %I', s.role) as object, format('%s of role %I are logged with their parameters', f.what, s.role) as message,
           format('alter role %I set %s = 0;', s.role, f.setting) as mend
      from said s,
           lateral (values
             (s.statements and s.length !~ '^0', 'statements', 'log_parameter_max_length'),
             (s.length_on_error !~ '^0', 'failed statements', 'log_parameter_max_length_on_error'),
             (s.plans, 'plans', 'auto_explain.log_parameter_max_length')) f (holds, what, setting)
     where f.holds`,
  fixtures: {
    fires: [
      `alter role rowhouse_app set log_statement = 'all'`,
      'alter role rowhouse_app set log_min_duration_statement = 500',
      'alter role rowhouse_app set log_parameter_max_length_on_error = -1',
    ],
    quiet: [
      'select 1',
      `alter role rowhouse_app set log_statement = 'all'; alter role rowhouse_app set log_parameter_max_length = 0`,
      `alter role rowhouse_app set log_statement = 'ddl'`,
    ],
  },
}
