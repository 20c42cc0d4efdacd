import { mkdir } from 'node:fs/promises';
import { type ArchiveTarget, parseArchive } from '../../archive/archive-address.ts';
import type { LakePlace } from '../../archive/security-lake/day-writer.ts';
import type { LakeClass } from '../../archive/security-lake/ocsf-columns.ts';
import { type ArchiveKeys, isStorageFault, openObjectStore } from '../../archive/store/object-store.ts';
import type { ObjectStore } from '../../archive/store/ports.ts';
import { OrgtrailError, reasonOf } from '../../errors.ts';
import { isRegion } from '../../s3/s3-address.ts';

interface WantedPlace {
  /** With `{class}` where the number of a class belongs. */
  readonly to: string;
  readonly classes: readonly LakeClass[];
  readonly region: string | undefined;
  readonly accountId: string;
  readonly environment: ArchiveKeys['environment'];
}

const CLASS = '{class}';

/** Opens where a lake is written to, and closes it. Throws OrgtrailError, also for what the storage refuses. */
export const withLakePlace = async <T>(wanted: WantedPlace, use: (place: LakePlace) => Promise<T>): Promise<T> => {
  const targets = targetsOf(wanted);
  const region = regionOf(wanted.region, targets);
  const stores = new Map<LakeClass, ObjectStore>();
  const keys = { accessKey: undefined, secretKey: undefined, environment: wanted.environment };
  try {
    for (const [classUid, target] of targets) {
      if (target.kind === 'file') await makeDirectory(target.directory);
      stores.set(classUid, openObjectStore(target, keys));
    }
    return await use({ stores, region, accountId: wanted.accountId });
  } catch (error) {
    if (!isStorageFault(error)) throw error;
    throw new OrgtrailError('api_unreachable', `the lake: ${reasonOf(error)}`, {
      hint: 'docs/security-lake.md says which rights the key needs; what was written is whole, and the same command replaces it',
      cause: error,
    });
  } finally {
    for (const store of stores.values()) await store.close();
  }
};

const targetsOf = ({ to, classes }: WantedPlace): ReadonlyMap<LakeClass, ArchiveTarget> => {
  if (!to.includes(CLASS) && classes.length > 1) {
    throw new OrgtrailError('usage', '--to must have {class} in it, or --class must name one class', {
      hint: 'a custom source of Security Lake has events of one class: s3://bucket/ext/cloudflare-{class}',
    });
  }
  const parsed = classes.map((classUid): [LakeClass, ArchiveTarget] => {
    const target = parseArchive(to.replaceAll(CLASS, String(classUid)));
    if (typeof target === 'string') throw new OrgtrailError('usage', `--to ${target}`);
    return [classUid, target];
  });
  return new Map(parsed);
};

const regionOf = (given: string | undefined, targets: ReadonlyMap<LakeClass, ArchiveTarget>): string => {
  const [target] = targets.values();
  const region = given ?? (target?.kind === 's3' ? target.address.region : '');
  if (isRegion(region)) return region;
  throw new OrgtrailError('usage', '--region must be a Region such as eu-central-1', {
    hint: 'it is that of the bucket, and has to be said for a directory',
  });
};

/** Only the last part of the path: what is above it must be there, or it is not mounted. */
const makeDirectory = async (directory: string): Promise<void> => {
  try {
    await mkdir(directory);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return;
    throw new OrgtrailError('usage', `--to: ${directory} cannot be made: ${reasonOf(error)}`, { cause: error });
  }
};
