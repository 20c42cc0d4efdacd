import { type CataloguedObject, noteRead, readCatalogue, readFacts } from './catalogue.sql.ts';
import { objectKinds } from './columns.ts';
import { differenceOf } from './facts.ts';
import type { Between, Month } from './month-rows.sql.ts';
import type { ArchiveContext } from './ports.ts';
import { readObject } from './read-object.ts';
import { writeObjects } from './writing/write-objects.ts';

export interface ArchivedMonth {
  readonly month: Month;
  /** Objects that were written now. */
  readonly written: number;
  /** Objects that were there, and were read back. */
  readonly proven: number;
}

/**
 * Brings all of a month into the archive: reads back what the catalogue has of it, and writes what is missing, late events and what was lost or
 * altered included. After it the database lets the month be dropped, for an hour and as long as nothing is added. Safe to call from many
 * processes at once: the same rows become the same object. Rejects with an S3Fault if the bucket does not do its part.
 */
export const archiveMonth = async (
  context: ArchiveContext,
  month: Month,
  signal?: AbortSignal,
): Promise<ArchivedMonth> => {
  let [written, proven] = [0, 0];
  const catalogue = await readCatalogue(context.pool, month);
  const own = catalogue.filter(({ archive, droppedAt }) => archive === context.store.name && droppedAt === null);
  for (const kind of objectKinds) {
    const kept: CataloguedObject[] = [];
    for (const object of own.filter((each) => each.kind === kind)) {
      signal?.throwIfAborted();
      if (await prove(context, object, signal)) kept.push(object);
    }
    proven += kept.length;
    for (const gap of gapsBetween(kept)) {
      written += await writeObjects(context, { kind, month, between: gap }, signal);
    }
  }
  return { month, written, proven };
};

/** Whether its bytes are there, and say what the database holds. */
const prove = async (context: ArchiveContext, object: CataloguedObject, signal?: AbortSignal): Promise<boolean> => {
  const { pool, store, observer } = context;
  const { kind, month, firstPosition: first, lastPosition: last } = object;
  const outcome = await readObject(store, object, signal);
  if ('fault' in outcome) {
    await noteRead(pool, object.id, { fault: outcome.fault });
    observer?.faulty?.(object, outcome.fault);
    return false;
  }
  // Later contents of an event may have come since.
  if (differenceOf(await readFacts(pool, { kind, month, first, last }), object) !== undefined) return false;
  await noteRead(pool, object.id, { sha256: object.sha256 });
  observer?.proven?.(object);
  return true;
};

/** Where there may be rows that are in none of these. */
export const gapsBetween = (kept: readonly Pick<CataloguedObject, 'firstPosition' | 'lastPosition'>[]): Between[] => {
  const gaps: Between[] = [];
  let after = 0;
  for (const { firstPosition, lastPosition } of kept) {
    if (firstPosition > after + 1) gaps.push({ after, before: firstPosition });
    after = lastPosition;
  }
  return [...gaps, { after, before: Number.MAX_SAFE_INTEGER }];
};
