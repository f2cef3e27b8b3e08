/** A process that backs up or restores and is killed by its parent while it does. */

import { openBackups } from '../../src/backup/backups.ts'
import { folderStore } from '../../src/backup/folder-store.ts'

const { CENTRAL_URL: url, ROOT_KEY: rootKey, FOLDER = '', WORK, NAME = '' } = process.env
const backups = await openBackups({ url, rootKey, store: folderStore(FOLDER) })
if (WORK === 'create') await backups.create(NAME)
if (WORK === 'restore') await backups.restore(NAME)
if (WORK === 'merge') await backups.merge(NAME)
if (WORK === 'keep') await backups.keep({ everyHours: 24, drillEveryHours: false })
await backups.close()
