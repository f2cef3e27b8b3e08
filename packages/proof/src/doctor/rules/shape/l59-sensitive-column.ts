import { type Rule, SURVEYED } from '../../rule.ts'

/** Names of columns that hold what nobody should read in clear text, without underscores. */
const SECRET = [
  ...['password', 'passwd', 'passphrase', 'secret', 'clientsecret', 'apikey', 'apisecret', 'privatekey', 'secretkey'],
  ...['accesstoken', 'refreshtoken', 'authtoken', 'totpsecret', 'recoverycodes', 'backupcodes'],
  ...['ssn', 'socialsecuritynumber', 'cardnumber', 'creditcard', 'creditcardnumber', 'cvv', 'cvc', 'iban'],
]
  .map((name) => `'${name}'`)
  .join(', ')

export const sensitiveColumn: Rule = {
  id: 'L59',
  name: 'sensitive-column',
  severity: 'note',
  title: 'Column of a tenant table that seems to hold a secret',
  why: 'Policies keep tenants apart; within a tenant every statement of the application reads the column. Where such a value is in clear text, one injected SELECT or one backup that is lost gives it away, and with it what the tenant can do elsewhere.',
  remedy:
    'Store a hash of what is only compared, e.g. a password, and encrypt the rest with a key of the tenant. Where the column holds that already, say so in its name or in the baseline.',
  applies: 'any',
  sql: `with ${SURVEYED}
    select format('%s.%I', t.name, a.attname) as object,
           format('%s.%I seems to hold a secret that the application reads in clear text', t.name, a.attname) as message, null as mend
      from tenant_table t
      join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped and a.atttypid in ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype)
     where replace(lower(a.attname), '_', '') in (${SECRET})
       and exists (select from app_role r where has_column_privilege(r.oid, t.oid, a.attnum, 'select'))`,
  fixtures: {
    fires: [
      `create table t (tenant_id uuid not null, id bigint, api_key text, primary key (tenant_id, id)); select rowhouse.protect('t')`,
    ],
    quiet: [
      `create table t (tenant_id uuid not null, id bigint, api_key_sha256 text, secret bytea, primary key (tenant_id, id)); select rowhouse.protect('t')`,
      'create table t (tenant_id uuid not null, id bigint, password text, primary key (tenant_id, id))',
    ],
  },
}
