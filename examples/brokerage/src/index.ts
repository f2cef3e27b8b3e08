/**
 * Brokerage: a system for insurance brokers, written once, run for all of them: in shared tables, in a schema or in a
 * database of their own.
 *
 * Read `platform/open-brokerage.ts` first, then `platform/steps.ts`, then any file in `domain/`: none of the queries
 * knows that there are tenants, or where they live.
 */

export { type BrokerageDemo, type BrokerageDemoOptions, startBrokerageDemo } from './demo/start-brokerage-demo.ts'
export { type Brokerage, type BrokerageOptions, openBrokerage } from './platform/open-brokerage.ts'
