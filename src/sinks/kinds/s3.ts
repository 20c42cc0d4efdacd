import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { constants, createGzip, createZstdCompress } from 'node:zlib';
import { z } from 'zod';
import { isLoopbackHost } from '../../base/addresses.ts';
import {
  defaultRegion,
  isBucketName,
  isPrefix,
  isR2,
  isRegion,
  nameOfPlace,
  originOf,
  type S3Address,
} from '../../base/s3/address.ts';
import { openBucket, type PutOptions } from '../../base/s3/bucket.ts';
import { S3Fault, type S3FaultKind } from '../../base/s3/errors.ts';
import { receivedMs } from '../../formats/format.ts';
import { parseRetryAfter } from '../../ingest/cloudflare/wire/request.ts';
import type { Delivery, DeliveryOutcome, OutgoingEvent, Sink } from '../delivery.ts';
import { unconnectedCodes } from '../http/http-post.ts';
import {
  batchEventsSetting,
  commonSettings,
  headerSecret,
  jsonFormatSetting,
  maxIntervalSetting,
  type SinkSurroundings,
  secret,
  sinkKind,
} from '../sink-kind.ts';

const DAY_MS = 86_400_000;

/** An object per delivery, two around midnight. The same events give the same name and content: a crash leaves no duplicate. */
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
      // An earlier attempt may have put it, if the bucket forbids replacing. Proxies and policies say the same of what is not there.
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

/** Returns refusals by place in the delivery. */
const refusedOf = async ({ events }: Delivery, put: (run: Run) => Promise<Refused>): Promise<Refused> => {
  const refused: Refused[number][] = [];
  let before = 0;
  for (const run of runsByDay(events)) {
    refused.push(...(await put(run)).map(({ index, reason }) => ({ index: before + index, reason })));
    before += run.length;
  }
  return refused;
};

/** Halves an object that is too large: here, not by a smaller delivery, so that a repeated delivery has the same names. */
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

/** Of entries as Cloudflare sent them. An object is in memory until the storage has it. */
const MIN_BYTES = 65_536;
const MAX_BYTES = 64 * 1_048_576;

const settings = z.strictObject({
  type: z.literal('s3'),
  ...commonSettings,
  /** Without a path; default: Amazon S3. */
  endpoint: z
    .string()
    .refine((text) => originOf(text) !== '', 'must be an http or https URL without path and password')
    .transform(originOf)
    .optional(),
  bucket: z.string().refine(isBucketName, 'must be the name of a bucket'),
  prefix: z
    .string()
    .transform((text) => text.replace(/^\/|\/$/g, ''))
    .refine(isPrefix, 'must be of printable characters, without empty parts')
    .default(''),
  region: z.string().refine(isRegion, 'must be a region such as eu-west-1, or auto').default('auto'),
  /** The bucket is in the path, not in the host name. */
  path_style: z.boolean().optional(),
  ca_file: z.string().optional(),
  /** Default: what Amazon gives the machine or the container. */
  access_key_id: headerSecret.optional(),
  secret_access_key: secret.optional(),
  format: jsonFormatSetting('native'),
  compression: z.enum(['gzip', 'zstd']).default('gzip'),
  max_interval: maxIntervalSetting('1m'),
  batch_events: batchEventsSetting(10_000, 100_000),
  max_bytes: z
    .int()
    .min(MIN_BYTES)
    .max(MAX_BYTES)
    .default(8 * 1_048_576),
  sse: z.enum(['AES256', 'aws:kms']).optional(),
  sse_kms_key_id: z
    .string()
    .regex(/^[\x21-\x7e]+$/, 'must be the id or the ARN of a key')
    .optional(),
  object_lock: z.enum(['governance', 'compliance']).optional(),
  object_lock_days: z.int().min(1).max(36_500).optional(),
});

const contradictionsOf = (given: S3SinkSettings): string[] => [
  ...together(
    'access_key_id',
    given.access_key_id !== undefined,
    'secret_access_key',
    given.secret_access_key !== undefined,
  ),
  ...together('object_lock', given.object_lock !== undefined, 'object_lock_days', given.object_lock_days !== undefined),
  ...(given.sse_kms_key_id !== undefined && given.sse !== 'aws:kms' ? ['.sse_kms_key_id needs .sse aws:kms'] : []),
];

const together = (one: string, isOne: boolean, other: string, isOther: boolean): string[] =>
  isOne === isOther ? [] : [` needs .${isOne ? other : one} beside .${isOne ? one : other}`];

const warningsOf = ({ endpoint, object_lock: lock, sse }: S3SinkSettings): string[] => {
  const { protocol, hostname } = new URL(endpoint ?? 'https://amazonaws.com');
  const isOpen = protocol === 'http:' && !isLoopbackHost(hostname);
  const unknownToR2 = [...(lock === undefined ? [] : ['object_lock']), ...(sse === undefined ? [] : ['sse'])];
  return [
    ...(isOpen ? [`.endpoint sends its events over plain http to ${hostname}`] : []),
    ...(isR2(endpoint)
      ? unknownToR2.map(
          (name) => `.${name} is nothing that R2 has: it encrypts by itself, and locks by rules of the bucket`,
        )
      : []),
  ];
};

export const s3 = sinkKind({
  settings,
  secrets: ['access_key_id', 'secret_access_key'],
  files: ['ca_file'],
  contradictions: contradictionsOf,
  warnings: warningsOf,
  create,
});

/** At least one event, one per line. Same events and format: same name; same version of Node: same bytes. */
export const packObject = async (events: readonly OutgoingEvent[], compression: Compression): Promise<PackedObject> => {
  const { extension, contentType, create } = compressions[compression];
  const hash = createHash('sha256');
  const lines = function* () {
    for (let index = 0; index < events.length; index += LINES_AT_ONCE) {
      const texts = events.slice(index, index + LINES_AT_ONCE).map(({ text }) => `${text}\n`);
      const bytes = Buffer.from(texts.join(''), 'utf8');
      hash.update(bytes);
      yield bytes;
    }
  };
  const chunks: Buffer[] = [];
  await pipeline(lines, create(), async (packed: AsyncIterable<Buffer>) => {
    for await (const chunk of packed) chunks.push(chunk);
  });
  const bytes = Buffer.concat(chunks);
  if (compression === 'gzip') bytes[SYSTEM_BYTE] = UNKNOWN_SYSTEM;
  const digest = hash.digest('hex').slice(0, DIGEST_DIGITS);
  return { name: `${placeOf(events)}-${digest}.ndjson.${extension}`, contentType, bytes };
};

const compressions = {
  gzip: { extension: 'gz', contentType: 'application/gzip', create: () => createGzip({ level: GZIP_LEVEL }) },
  zstd: {
    extension: 'zst',
    contentType: 'application/zstd',
    create: () =>
      createZstdCompress({
        params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL, [constants.ZSTD_c_checksumFlag]: 1 },
      }),
  },
} as const;

/** Fixed, since the same events must give the same bytes. */
const GZIP_LEVEL = 6;
const ZSTD_LEVEL = 3;
const LINES_AT_ONCE = 200;
/** In the header of gzip; otherwise it names the operating system. */
const SYSTEM_BYTE = 9;
const UNKNOWN_SYSTEM = 255;
const DIGEST_DIGITS = 16;

const placeOf = (events: readonly OutgoingEvent[]): string => {
  const [first, last] = [events[0], events.at(-1)];
  if (first === undefined || last === undefined) throw new Error('an object has at least one event');
  const digits = ({ event }: OutgoingEvent) => String(event.position).padStart(POSITION_DIGITS, '0');
  return `${dayOf(first)}/${digits(first)}-${digits(last)}`;
};
const POSITION_DIGITS = 16;

/** As Logpush names its folders. */
const dayOf = ({ event }: OutgoingEvent): string =>
  new Date(receivedMs(event)).toISOString().slice(0, 10).replaceAll('-', '');

/** The storage refused an object as if it existed. `found`: the answer to HEAD, or its failure. */
const unproven = (refused: S3Fault, found: { readonly sizeBytes: number } | S3Fault | undefined): S3Fault => {
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

const isTooLarge = (error: unknown): error is S3Fault => error instanceof S3Fault && tooLarge.includes(error.code);

/** Codes for an object too large for the storage or a proxy before it. */
const tooLarge = ['EntityTooLarge', 'HTTP 413'];

/** Events received on one day (UTC) form one object, in the folder of the day. */
export const runsByDay = (events: readonly OutgoingEvent[]): readonly (readonly OutgoingEvent[])[] => {
  const runs: OutgoingEvent[][] = [];
  let day = '';
  for (const each of events) {
    const next = dayOf(each);
    if (next !== day || runs.length === 0) runs.push([]);
    day = next;
    runs.at(-1)?.push(each);
  }
  return runs;
};

/** The same delivery is retried, not before the storage says. */
const outcomeOfFault = (fault: S3Fault, settings: S3SinkSettings): DeliveryOutcome => {
  const todo = todos(settings)[fault.kind];
  const retryAfterMs = parseRetryAfter(fault.retryAfter, Date.now());
  return {
    kind: 'failed',
    reason: todo === undefined ? fault.message : `${fault.message}; ${todo}`,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(isOfStorage(fault, todo) && { because: 'receiver' }),
  };
};

const todos = (settings: S3SinkSettings): Partial<Record<S3FaultKind, string>> => ({
  wrong_secret: 'check access_key_id and secret_access_key',
  expired: 'renew access_key_id and secret_access_key',
  no_credentials: 'set access_key_id and secret_access_key, or give the machine a role',
  no_bucket: 'create it, or check bucket and endpoint',
  denied: `allow ${rightsOf(settings).join(' and ')} below s3://${settings.bucket}/${settings.prefix}`,
  clock_skew: 'set the clock of this host',
  full: 'raise the quota, or delete or expire what is not needed',
});

const rightsOf = ({ object_lock: lock, sse }: S3SinkSettings): readonly string[] => [
  's3:PutObject',
  ...(lock === undefined ? [] : ['s3:PutObjectRetention']),
  ...(sse === 'aws:kms' ? ['kms:GenerateDataKey of the key'] : []),
];

/** True if every object would fail. */
const isOfStorage = ({ kind, code }: S3Fault, todo: string | undefined): boolean =>
  kind === 'slow_down' || unconnectedCodes.has(code) || (todo !== undefined && kind !== 'denied');

type S3SinkSettings = z.infer<typeof settings>;
export type Compression = 'gzip' | 'zstd';

/** `name` has day, first and last position, and a digest: other content has another name. */
type PackedObject = Readonly<{ name: string; contentType: string; bytes: Buffer }>;
