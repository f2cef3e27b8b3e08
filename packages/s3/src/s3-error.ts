import { ArtefactError, isRowhouseError } from 'rowhouse'

/** The parts of an error of the SDK that say what happened. */
interface ServiceError {
  readonly name?: string
  readonly message?: string
  readonly code?: string
  readonly Region?: string
  readonly $metadata?: { readonly httpStatusCode?: number }
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> }
}

const DENIED = ['AccessDenied', 'Forbidden', 'InvalidAccessKeyId', 'SignatureDoesNotMatch', 'AllAccessDisabled']
const OVER = ['ExpiredToken', 'TokenRefreshRequired', 'InvalidToken']
const ELSEWHERE = ['PermanentRedirect', 'AuthorizationHeaderMalformed', 'IllegalLocationConstraintException']
const SLOW = [
  'SlowDown',
  'ServiceUnavailable',
  'ThrottlingException',
  'TooManyRequestsException',
  'RequestLimitExceeded',
]
const TAKEN = ['PreconditionFailed', 'ConditionalRequestConflict']

export function isNoSuchKey(error: unknown): boolean {
  return ['NoSuchKey', 'NotFound'].includes((error as ServiceError).name ?? '')
}

/** Somebody else has written an object of this key: ours was not. */
function isTaken(error: unknown): boolean {
  const { name = '', $metadata } = error as ServiceError
  return TAKEN.includes(name) || $metadata?.httpStatusCode === 412
}

/** The service has answered, and the answer is no: what was asked for was not done. */
export function isRefusal(error: unknown): boolean {
  const status = (error as ServiceError).$metadata?.httpStatusCode ?? 0
  return status >= 400 && status < 500
}

/**
 * Says in Rowhouse's words why a bucket could not be worked with.
 *
 * @param doing  e.g. `write "0190…/20260704T021500Z-5b1e0c77"`
 */
export function toStoreError(doing: string, bucket: string, error: unknown): Error {
  if (isRowhouseError(error)) return error
  return new ArtefactError('ERR_ARTEFACT_STORE', `Cannot ${doing}: ${explain(bucket, error as ServiceError)}`, {
    cause: error,
  })
}

function explain(bucket: string, error: ServiceError): string {
  const { name = '', message = '', code = '', $metadata } = error
  const status = $metadata?.httpStatusCode
  if (name === 'NoSuchBucket') return `bucket "${bucket}" does not exist; make it, or correct its name`
  if (ELSEWHERE.includes(name) || status === 301) return elsewhere(bucket, error)
  if (OVER.includes(name)) return `the credentials have expired (${name}); get new ones`
  if (DENIED.includes(name) || status === 403)
    return `bucket "${bucket}" denies access (${name}: ${message}); the role needs s3:ListBucket, s3:ListBucketMultipartUploads, s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload and s3:ListMultipartUploadParts`
  if (isTaken(error)) return 'somebody else has written a backup of this name; nothing of it was changed'
  if (SLOW.includes(name) || status === 503 || status === 429)
    return `the service asks to slow down (${name || status}), also after several attempts; try again later`
  if (name === 'CredentialsProviderError')
    return `no credentials were found (${message}); set AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run under a role`
  if (/^Region is missing/.test(message)) return 'no region is set; set AWS_REGION'
  if (name === 'TimeoutError' || /^E[A-Z_]+$/.test(code))
    return `the service cannot be reached (${code || name}: ${message})`
  return `bucket "${bucket}": ${name === '' || name === 'Error' ? '' : `${name}: `}${message}`
}

function elsewhere(bucket: string, { Region, $response }: ServiceError): string {
  const region = Region ?? $response?.headers?.['x-amz-bucket-region']
  const where = region === undefined ? 'another region' : `region "${region}"`
  return `bucket "${bucket}" lies in ${where}; set AWS_REGION to that one, or AWS_ENDPOINT_URL_S3 to its service`
}
