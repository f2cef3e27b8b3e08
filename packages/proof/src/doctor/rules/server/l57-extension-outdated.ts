import { type Rule, SURVEYED } from '../../rule.ts'

export const extensionOutdated: Rule = {
  id: 'L57',
  name: 'extension-outdated',
  severity: 'note',
  title: 'Extension older than the version that is there',
  why: 'Updating the server brings the files of an extension; its functions and rights in the database stay as they were, with the holes that were closed since.',
  remedy: "Read the extension's notes, then run the SQL of the finding.",
  applies: 'any',
  sql: `with ${SURVEYED}
    select format('extension %I', e.extname) as object,
           format('extension %I is at version %s, and %s is there', e.extname, e.extversion, v.default_version) as message,
           format('alter extension %I update;', e.extname) as mend
      from pg_extension e join pg_available_extensions v on v.name = e.extname
     where v.default_version is not null and v.default_version <> e.extversion`,
  fixtures: {
    fires: [`create extension pg_trgm version '1.3'`],
    quiet: ['create extension pg_trgm'],
  },
}
