/** Backups of Rowhouse in S3. This file is the table of contents. */

export { type S3StoreOptions, s3Store } from './s3-store.ts'
