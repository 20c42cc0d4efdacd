import { OrgtrailError } from '../../errors.ts';
import { actionMs, receivedMs } from '../../formats/event-time.ts';
import type { FeedEvent } from '../../formats/feed-event.ts';
import { formatOcsf } from '../../formats/ocsf/ocsf.ts';
import { type DroppedMonth, readDroppedMonths } from '../../search/archived/dropped-months.sql.ts';
import { readCatalogue, readFeedId } from '../catalogue.sql.ts';
import type { ObjectLimits } from '../ports.ts';
import { type QueryContext, queryHistory } from '../query/query-history.ts';
import { boundsOfMonth, type TimeRange } from '../query/query-view.ts';
import { withDirectory } from '../temporary-directory.ts';
import { createDayWriter, type DayWriter, type LakeObject, type LakePlace } from './day-writer.ts';
import { lakeEvents } from './lake-events.ts';
import { readStoredMonths } from './lake-months.sql.ts';
import { classOfLine } from './ocsf-columns.ts';

export interface LakeContext extends QueryContext {
  /** Names of organizations by id, as they are now. */
  readonly organizationNames: ReadonlyMap<string, string | null>;
  readonly onObject: (object: LakeObject) => void;
  readonly limits?: ObjectLimits;
}

export interface LakeExport {
  readonly place: LakePlace;
  /** Whole days of UTC. */
  readonly range: { readonly sinceMs: number | undefined; readonly beforeMs: number };
}

/** Months that were left out: events of them are neither in the database nor in the archive, and an object of a day would have less than before. */
export type SkippedMonths = readonly DroppedMonth[];

/** 256 MB sort a month of some million events, with the disk. */
const MEMORY_MB = 256;
/** Before every time that an entry can have: only those without one are there. */
const BEGIN_MS = Date.parse('0001-01-01T00:00:00Z');

/**
 * Writes the events of these days, each once, as OCSF in the layout of Amazon Security Lake. What is there of the same days is replaced, so that
 * it can be repeated after a stop at any point, and when events have come late. Rejects as a query over history does.
 */
export const exportLake = async (context: LakeContext, { place, range }: LakeExport): Promise<SkippedMonths> => {
  const named = `orgtrail-${await readFeedId(context.pool)}`;
  const { sinceMs, beforeMs } = range;
  const { months, hasUndated } = await monthsOf(context);
  const skipped = await readDroppedMonths(context.pool, {
    since: sinceMs === undefined ? undefined : instant(sinceMs),
    before: instant(beforeMs),
  });
  const isWanted = (day: string) => day < dayOf(beforeMs) && (sinceMs === undefined || day >= dayOf(sinceMs));
  const write = (time: TimeRange, name: string) => writeRange(context, { place, named: name, time, isWanted });
  if (hasUndated) await write({ sinceMs: undefined, beforeMs: BEGIN_MS }, `${named}-undated`);
  for (const month of months.filter((each) => !skipped.some((gone) => gone.month === each))) {
    const bounds = boundsOfMonth(month);
    const time = {
      sinceMs: Math.max(bounds.beginMs, sinceMs ?? bounds.beginMs),
      beforeMs: Math.min(bounds.endMs, beforeMs),
    };
    if (time.sinceMs < time.beforeMs) await write(time, named);
  }
  return skipped;
};

const instant = (ms: number): string => new Date(ms).toISOString();
const dayOf = (ms: number): string => instant(ms).slice(0, 10).replaceAll('-', '');

const monthsOf = async ({ pool }: LakeContext) => {
  const stored = await readStoredMonths(pool);
  const archived = (await readCatalogue(pool)).filter(({ kind, droppedAt }) => kind === 'events' && droppedAt !== null);
  const months = new Set([...stored.months, ...archived.map(({ month }) => month)]);
  return { months: [...months].sort(), hasUndated: stored.hasUndated };
};

interface RangeOptions {
  readonly place: LakePlace;
  readonly named: string;
  readonly time: TimeRange;
  readonly isWanted: (day: string) => boolean;
}

const writeRange = async (context: LakeContext, { place, named, time, isWanted }: RangeOptions): Promise<void> =>
  await withDirectory(async (directory) => {
    const { limits, onObject, signal } = context;
    const writer = createDayWriter({ place, directory, named, limits, onObject, signal });
    const query = { sql: lakeEvents.sql, range: time, memoryMb: MEMORY_MB };
    await queryHistory(context, query, async (result, { gone }) => {
      if (gone[0] !== undefined) throw droppedMeanwhile(gone[0]);
      for await (const rows of result.rows()) {
        for (const row of rows) await addEvent(writer, lakeEvents.eventOf(row, context.organizationNames), isWanted);
      }
    });
    await writer.finish();
  });

const droppedMeanwhile = ({ month }: DroppedMonth): OrgtrailError =>
  new OrgtrailError('source_failed', `${month} was dropped without an archive while it was read`, {
    hint: 'repeat the command: it leaves that month out',
  });

const addEvent = async (writer: DayWriter, event: FeedEvent, isWanted: (day: string) => boolean): Promise<void> => {
  const day = dayOf(actionMs(event) ?? receivedMs(event));
  if (!isWanted(day)) return;
  const line = formatOcsf(event);
  await writer.add(classOfLine(line), day, line);
};
