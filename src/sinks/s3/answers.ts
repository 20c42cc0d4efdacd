import { parseRetryAfter } from '../../ingest/cloudflare/wire/rate-limit-headers.ts';
import { S3Fault, type S3FaultKind } from '../../s3/s3-fault.ts';
import type { DeliveryOutcome } from '../delivery.ts';
import { unconnectedCodes } from '../http/http-post.ts';
import type { S3SinkSettings } from './settings.ts';

/** What the storage says of an object that is too large for it, or for a proxy before it. */
const tooLarge = ['EntityTooLarge', 'HTTP 413'];

export const isTooLarge = (error: unknown): error is S3Fault =>
  error instanceof S3Fault && tooLarge.includes(error.code);

/** The storage refused an object as if it were there: what HEAD found, or how that failed. */
export const unproven = (refused: S3Fault, found: { readonly sizeBytes: number } | S3Fault | undefined): S3Fault => {
  const { code, retryAfter } = refused;
  const words = `the storage did not take the object (${code})`;
  if (found instanceof S3Fault) {
    const todo = found.kind === 'denied' ? '; allow s3:GetObject below the prefix' : '';
    const why = `whether an earlier attempt left it there cannot be asked: ${found.message}${todo}`;
    return new S3Fault('other', `${words}, and ${why}`, code, found.retryAfter ?? retryAfter);
  }
  const why =
    found === undefined
      ? 'does not have it: check what stands before the storage (proxy, WAF), its policies and locks'
      : `has another one of this name, of ${found.sizeBytes} bytes: check locks and holds`;
  return new S3Fault('other', `${words}, and ${why}`, code, retryAfter);
};

/** What a request that failed means: the same delivery is to be retried, not before the storage says. */
export const outcomeOfFault = (fault: S3Fault, settings: S3SinkSettings): DeliveryOutcome => {
  const todo = todos(settings)[fault.kind];
  const retryAfterMs = parseRetryAfter(fault.retryAfter, Date.now());
  return {
    kind: 'failed',
    reason: todo === undefined ? fault.message : `${fault.message}; ${todo}`,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(isOfStorage(fault, todo) && { because: 'receiver' }),
  };
};

/** The same for every object. */
const isOfStorage = ({ kind, code }: S3Fault, todo: string | undefined): boolean =>
  kind === 'slow_down' || unconnectedCodes.has(code) || (todo !== undefined && kind !== 'denied');

const todos = (settings: S3SinkSettings): Partial<Record<S3FaultKind, string>> => ({
  wrong_secret: 'check access_key_id and secret_access_key',
  expired: 'renew access_key_id and secret_access_key',
  no_credentials: 'set access_key_id and secret_access_key, or give the machine a role',
  no_bucket: 'create it, or check bucket and endpoint',
  denied: `allow ${rightsOf(settings).join(' and ')} below s3://${settings.bucket}/${settings.prefix}`,
  clock_skew: 'set the clock of this host',
  full: 'raise the quota, or delete or expire what is not needed',
});

/** What a policy must allow, by Amazon's names. */
const rightsOf = ({ object_lock: lock, sse }: S3SinkSettings): readonly string[] => [
  's3:PutObject',
  ...(lock === undefined ? [] : ['s3:PutObjectRetention']),
  ...(sse === 'aws:kms' ? ['kms:GenerateDataKey of the key'] : []),
];
