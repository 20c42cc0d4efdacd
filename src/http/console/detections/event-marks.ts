import { BusyError } from '../../../errors.ts';
import type { EventMark } from '../../../findings/event-marks.sql.ts';
import type { Html } from '../html.ts';
import type { OperationsSource } from '../operations/operations-source.ts';
import { eventMark } from './detection-words.ts';

/** What detections say of the events of a page. */
export interface EventMarks {
  readonly isKnown: boolean;
  of(position: number): readonly Html[];
}

/** A page without its marks is worth more than an error: if they take too long, the page says that they are missing. */
export const readMarks = async (
  operations: OperationsSource,
  events: Parameters<OperationsSource['marks']>[0],
): Promise<EventMarks> => {
  const found = await operations.marks(events).catch((error: unknown) => {
    if (error instanceof BusyError) return undefined;
    throw error;
  });
  const byPosition = new Map<number, EventMark[]>();
  for (const mark of found ?? []) byPosition.set(mark.position, [...(byPosition.get(mark.position) ?? []), mark]);
  return { isKnown: found !== undefined, of: (position) => (byPosition.get(position) ?? []).map(eventMark) };
};
