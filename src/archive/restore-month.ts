import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OrgtrailError } from '../base/errors.ts';
import type { FeedEvent } from '../formats/format.ts';
import type { CataloguedObject } from './catalogue.sql.ts';
import { instantOf, type ObjectKind } from './columns.ts';
import { readObject } from './manifest.ts';
import { rowsOfParquet } from './parquet/parquet.ts';
import { type ObjectStore, withDirectory } from './store.ts';

const eventColumns = [
  'position',
  'feed_id',
  'source_kind',
  'source_id',
  'organization_id',
  'organization_name',
  'account_id',
  'account_name',
  'zone_id',
  'zone_name',
  'id',
  'epoch_us(action_time)',
  'epoch_us(received_at)',
  'raw',
  'defects',
] as const;
const changeColumns = [
  'position',
  'source_kind',
  'source_id',
  'event_id',
  'epoch_us(seen_at)',
  'raw',
  'raw_sha256',
] as const;

/** In order of position. Rejects with OrgtrailError before the first event of an object that is not what was written. */
export const restoreEvents = async (
  store: ObjectStore,
  objects: readonly CataloguedObject[],
  take: (events: readonly FeedEvent[]) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> => await restore(store, objects, 'events', eventColumns, (rows) => take(rows.map(eventOf)), signal);

/** As `restoreEvents`, later contents. */
export const restoreChanges = async (
  store: ObjectStore,
  objects: readonly CataloguedObject[],
  take: (changes: readonly ReturnType<typeof changeOf>[]) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> => await restore(store, objects, 'changes', changeColumns, (rows) => take(rows.map(changeOf)), signal);

const restore = async (
  store: ObjectStore,
  objects: readonly CataloguedObject[],
  kind: ObjectKind,
  select: readonly string[],
  take: (rows: readonly (readonly unknown[])[]) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> => {
  for (const object of objects.filter((each) => each.kind === kind)) {
    signal?.throwIfAborted();
    const outcome = await readObject(store, object, signal);
    if ('fault' in outcome) {
      throw new OrgtrailError('verification_failed', `${object.key} in ${store.name}: ${outcome.fault}`, {
        hint: 'an earlier version of the object may still be in the bucket: `orgtrail archive list --json` has its version and its SHA-256',
      });
    }
    await withDirectory(async (directory) => {
      const file = join(directory, 'object.parquet');
      await writeFile(file, outcome.bytes);
      await rowsOfParquet(file, { directory, select }, take);
    });
  }
};

const text = (value: unknown): string => String(value);
const textOrNull = (value: unknown): string | null => (value === null ? null : String(value));

const eventOf = (row: readonly unknown[]): FeedEvent => {
  const [position, feedId, sourceKind, sourceId, organizationId, organizationName, ...more] = row;
  const [accountId, accountName, zoneId, zoneName, id, actionTime, receivedAt, raw, defects] = more;
  return {
    position: Number(position),
    feedId: text(feedId),
    sourceKind: text(sourceKind),
    sourceId: text(sourceId),
    organizationId: textOrNull(organizationId),
    organizationName: textOrNull(organizationName),
    accountId: textOrNull(accountId),
    accountName: textOrNull(accountName),
    zoneId: textOrNull(zoneId),
    zoneName: textOrNull(zoneName),
    id: text(id),
    actionTime: instantOf(BigInt(text(actionTime))),
    receivedAt: instantOf(BigInt(text(receivedAt))),
    rawText: text(raw),
    defects: defects === null ? null : text(defects).split(','),
  };
};

const changeOf = (row: readonly unknown[]) => {
  const [position, sourceKind, sourceId, eventId, seenAt, raw, rawSha256] = row;
  return {
    position: Number(position),
    sourceKind: text(sourceKind),
    sourceId: text(sourceId),
    eventId: text(eventId),
    seenAt: instantOf(BigInt(text(seenAt))),
    rawText: text(raw),
    rawSha256: text(rawSha256),
  };
};
