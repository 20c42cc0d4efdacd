import { type BucketOptions, openBucket } from '../../s3/s3-bucket.ts';
import type { AnchorTarget } from './anchor-targets.ts';
import { mirrorTo } from './mirror.ts';
import type { Anchor } from './ports.ts';
import { timeStampsOf } from './time-stamps.ts';
import { witnessAt } from './witness.ts';
import { filesIn } from './write-once-files.ts';
import { objectsIn } from './write-once-objects.ts';

const INTERVAL_MS = 300_000;

/** Authorities are asked once a day. */
const TIME_STAMP_INTERVAL_MS = 86_400_000;

/** The anchors that are configured. Nothing is connected or read yet. */
export const openAnchors = (targets: readonly AnchorTarget[], s3: S3Settings): readonly Anchor[] =>
  targets.map((target) => openAnchor(target, s3));

/** What signs the requests for objects, unless the address of the bucket names a file. */
export type S3Settings = Pick<BucketOptions, 'accessKey' | 'secretKey' | 'environment'>;

const openAnchor = (target: AnchorTarget, s3: S3Settings): Anchor => {
  switch (target.kind) {
    case 'file':
      return mirrorTo(target.name, filesIn(target.directory), INTERVAL_MS);
    case 's3':
      return mirrorTo(target.name, objectsIn(openBucket(target.address, s3)), INTERVAL_MS);
    case 'witness':
      return witnessAt({ ...target, intervalMs: INTERVAL_MS });
    case 'tsa':
      return timeStampsOf({ ...target, intervalMs: TIME_STAMP_INTERVAL_MS });
  }
};
