/** Rules for ESLint and oxlint that keep application code inside its tenant. */
export {}
