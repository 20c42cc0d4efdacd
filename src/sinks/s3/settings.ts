import { z } from 'zod';
import { isLoopbackHost } from '../../postgres/loopback.ts';
import { isBucketName, isPrefix, isR2, isRegion, originOf } from '../../s3/s3-address.ts';
import {
  batchEventsSetting,
  commonSettings,
  headerSecret,
  jsonFormatSetting,
  maxIntervalSetting,
  secret,
} from '../settings.ts';
import { sinkKindSettings } from '../sink-kind.ts';

/** Of entries as Cloudflare sent them. An object is in memory until the storage has it. */
const MIN_BYTES = 65_536;
const MAX_BYTES = 64 * 1_048_576;

const settings = z.strictObject({
  type: z.literal('s3'),
  ...commonSettings,
  /** Without a path; Amazon S3 without it. */
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
  /** The bucket stands in the path, and not in the name of the host. */
  path_style: z.boolean().optional(),
  ca_file: z.string().optional(),
  /** Without the two, what Amazon gives the machine or the container. */
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

export type S3SinkSettings = z.infer<typeof settings>;

const together = (one: string, isOne: boolean, other: string, isOther: boolean): string[] =>
  isOne === isOther ? [] : [` needs .${isOne ? other : one} beside .${isOne ? one : other}`];

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

export const s3SinkSettings = sinkKindSettings({
  settings,
  secrets: ['access_key_id', 'secret_access_key'],
  files: ['ca_file'],
  contradictions: contradictionsOf,
  warnings: warningsOf,
});
