import { createHash } from 'node:crypto';
import { defaultRegion, nameOfPlace, type S3Address } from '../../s3/s3-address.ts';
import { openBucket, type PutOptions } from '../../s3/s3-bucket.ts';
import { S3Fault } from '../../s3/s3-fault.ts';
import type { Delivery, DeliveryOutcome, OutgoingEvent, Sink } from '../delivery.ts';
import type { SinkKind, SinkSurroundings } from '../sink-kind.ts';
import { isTooLarge, outcomeOfFault, unproven } from './answers.ts';
import { packObject, runsByDay } from './pack-object.ts';
import { type S3SinkSettings, s3SinkSettings } from './settings.ts';

const DAY_MS = 86_400_000;

/**
 * Puts each delivery into a bucket as an object of its own, or two around midnight. An object that is put again has the same name
 * and the same events, so that nothing is there twice after a crash.
 */
const create = (settings: S3SinkSettings, { aws }: SinkSurroundings): Sink => {
  const address = addressOf(settings, aws['AWS_REGION']);
  const bucket = openBucket(address, {
    accessKey: settings.access_key_id,
    secretKey: settings.secret_access_key,
    environment: aws,
    timeoutMs: settings.timeout,
  });
  const putOne = async (events: Run, signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted();
    const { name, contentType, bytes } = await packObject(events, settings.compression);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    try {
      await bucket.put(name, bytes, { contentType, sha256, ...putOptions(settings, Date.now()) }, signal);
    } catch (error) {
      if (!(error instanceof S3Fault && error.kind === 'exists')) throw error;
      // An earlier attempt may have put it, if the bucket does not let it be replaced. Proxies and policies say the same of what is not there.
      const found = await bucket.head(name, signal).catch((fault: unknown) => {
        if (fault instanceof S3Fault) return fault;
        throw fault;
      });
      const md5 = createHash('md5').update(bytes).digest('hex');
      const isThere =
        found !== undefined &&
        !(found instanceof S3Fault) &&
        found.sizeBytes === bytes.length &&
        (found.sha256 === sha256 || found.etag === md5);
      if (!isThere) throw unproven(error, found);
    }
  };
  const put = (run: Run, signal: AbortSignal) => putInHalves(run, (part) => putOne(part, signal));
  return {
    target: address.name,
    maxBytes: settings.max_bytes,
    deliver: async (delivery, signal): Promise<DeliveryOutcome> => {
      try {
        return { kind: 'delivered', refused: await refusedOf(delivery, (run) => put(run, signal)) };
      } catch (error) {
        if (error instanceof S3Fault) return outcomeOfFault(error, settings);
        throw error;
      }
    },
    close: bucket.close,
  };
};

type Run = readonly OutgoingEvent[];
type Refused = (DeliveryOutcome & { readonly kind: 'delivered' })['refused'];

/** Puts run after run. What is refused, by its place in the delivery. */
const refusedOf = async ({ events }: Delivery, put: (run: Run) => Promise<Refused>): Promise<Refused> => {
  const refused: Refused[number][] = [];
  let before = 0;
  for (const run of runsByDay(events)) {
    refused.push(...(await put(run)).map(({ index, reason }) => ({ index: before + index, reason })));
    before += run.length;
  }
  return refused;
};

/**
 * An object that is too large for the storage becomes two. They are halved here and not by a smaller delivery, so that the parts of a
 * delivery that is attempted again have the same names.
 */
const putInHalves = async (events: Run, put: (part: Run) => Promise<void>): Promise<Refused> => {
  try {
    await put(events);
    return [];
  } catch (error) {
    if (!isTooLarge(error)) throw error;
    if (events.length === 1) return [{ index: 0, reason: error.message }];
  }
  const middle = Math.ceil(events.length / 2);
  const first = await putInHalves(events.slice(0, middle), put);
  const second = await putInHalves(events.slice(middle), put);
  return [...first, ...second.map(({ index, reason }) => ({ index: middle + index, reason }))];
};

const addressOf = (settings: S3SinkSettings, awsRegion: string | undefined): S3Address => {
  const { endpoint, bucket, prefix, region, path_style: style, ca_file: caFile } = settings;
  const ownRegion = endpoint === undefined ? awsRegion : undefined;
  return {
    name: nameOfPlace({ bucket, prefix, endpoint }),
    bucket,
    prefix,
    endpoint,
    region: region === 'auto' ? (ownRegion ?? defaultRegion(endpoint)) : region,
    // A name with dots is not covered by the certificate of Amazon's hosts.
    pathStyle: style ?? (endpoint !== undefined || bucket.includes('.')),
    lockMs: undefined,
    credentialsFile: undefined,
    caFile,
  };
};

const putOptions = (settings: S3SinkSettings, nowMs: number): PutOptions => {
  const { sse, sse_kms_key_id: kmsKeyId, object_lock: lock, object_lock_days: lockDays } = settings;
  return {
    ...(sse !== undefined && { encryption: { algorithm: sse, kmsKeyId } }),
    ...(lock !== undefined &&
      lockDays !== undefined && {
        lockMode: lock === 'compliance' ? 'COMPLIANCE' : 'GOVERNANCE',
        lockedUntilMs: nowMs + lockDays * DAY_MS,
      }),
  };
};

export const s3: SinkKind<typeof s3SinkSettings.settings> = { ...s3SinkSettings, create };
