import { randomUUID } from 'node:crypto'
import { ARTEFACT_FILE, type ArtefactWriter, MANIFEST } from 'rowhouse-server'
import type { Bucket } from './bucket.ts'
import { deleteObjects, listObjects } from './objects.ts'
import { isRefusal, toStoreError } from './s3-error.ts'
import { beginUpload, type FileUpload, findWriter } from './upload-file.ts'

/**
 * Begins an artefact. Its files lie where they will be read, and nobody looks for them there before the manifest, which is
 * written last, in one request.
 *
 * Two writers of one name: no object replaces another, so the second one fails at its first file, and removes what is its own.
 */
export async function beginArtefact(place: Bucket, name: string): Promise<ArtefactWriter> {
  const folder = `${place.prefix}${name}/`
  const doing = `write "${name}"`
  const coded = <T>(work: Promise<T>): Promise<T> =>
    work.catch((error) => {
      throw toStoreError(doing, place.bucket, error)
    })
  // Also for services that do not know If-None-Match; and a bucket that is not there is named before the first row is read.
  if (await coded(isAnythingIn(place, folder)))
    throw toStoreError(doing, place.bucket, Object.assign(new Error('it is there'), { name: 'PreconditionFailed' }))
  const writer = randomUUID()
  const running = new Set<FileUpload>()
  const written: string[] = []
  let state: 'open' | 'unknown' | 'committed' = 'open'
  const open = async (file: string) => {
    if (!ARTEFACT_FILE.test(file)) throw new Error(`"${file}" is no name of a file`)
    const key = `${folder}${file}`
    const upload = beginUpload(place, key, writer)
    running.add(upload)
    return {
      write: (bytes: Buffer) => coded(upload.write(bytes)),
      close: async () => {
        await coded(upload.finish())
        running.delete(upload)
        written.push(key)
      },
    }
  }
  return {
    open: (file) => coded(open(file)),
    commit: async (manifest) => {
      if (running.size > 0) throw new Error(`Cannot ${doing}: a file of it is not closed`)
      // Until the service has answered, nobody knows whether it is there.
      state = 'unknown'
      const key = `${folder}${MANIFEST}`
      const upload = beginUpload(place, key, writer)
      try {
        await upload.write(manifest)
        await upload.finish()
        state = 'committed'
      } catch (error) {
        const isElsewhere = ['other', 'nobody'].includes(await findWriter(place, key, writer))
        if (isRefusal(error) && isElsewhere) state = 'open'
        throw toStoreError(doing, place.bucket, error)
      }
    },
    abort: async () => {
      if (state === 'committed') return
      await Promise.all([...running].map((upload) => upload.abort()))
      // A manifest that arrives yet must find its files: a sweep looks again when it can no longer come.
      if (state === 'open') await coded(deleteObjects(place, written))
    },
  }
}

async function isAnythingIn(place: Bucket, folder: string): Promise<boolean> {
  for await (const _ of listObjects(place, folder)) return true
  return false
}
