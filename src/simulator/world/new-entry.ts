import { defectiveText } from '../faults/entry-defects.ts';
import type { FaultName } from '../faults/fault-catalogue.ts';
import type { FaultPlan } from '../faults/fault-plan.ts';
import type { AuditLog, NewEntry } from './audit-log.ts';
import { type DefectDeal, lateness } from './base-history.ts';
import { entryMark, entryParts, joinParts, padParts } from './entry-text.ts';
import { draw } from './random.ts';
import type { Voice } from './voice.ts';

/** A generated entry that is to come into being. Unnamed: visible at once, unless the fault `late` says otherwise. */
export interface EntryOrder {
  readonly timeMs: number;
  readonly visibleAtMs?: number;
  /** Its text has so many bytes at least; it then has no defect. */
  readonly bytes?: number;
}

/** The log that an entry comes into, and what it is made of. */
interface Place {
  readonly log: AuditLog;
  readonly voice: Voice;
  readonly deal: DefectDeal;
}

const equalWithinMs = 1000;

/** The next entry of a log, with the faults of the data that are on. */
export function newEntry(faults: FaultPlan, { log, voice, deal }: Place, order: EntryOrder): NewEntry {
  const { bytes } = order;
  const occasion = { number: draw(voice.key, log.nextSeq), source: voice.source };
  const happens = (name: FaultName): number | undefined => faults.fires(name, occasion);
  const lastMs = log.lastTimeMs ?? Number.NEGATIVE_INFINITY;
  // Only right after the entry before: later, it would be a late entry, which is another fault.
  const canBeEqual = Math.abs(order.timeMs - lastMs) <= equalWithinMs;
  const timeMs = canBeEqual && happens('equal_timestamps') !== undefined ? lastMs : order.timeMs;
  const late = order.visibleAtMs === undefined ? happens('late') : undefined;
  const moved = happens('out_of_order');
  const marks =
    (happens('unknown_enums') === undefined ? 0 : entryMark.unknownEnum) +
    (happens('cf_rayid') === undefined ? 0 : entryMark.oldRayKey);
  const defect = bytes === undefined ? deal.next(log.nextSeq) : undefined;
  const lateAtMs = late === undefined ? 0 : timeMs + lateness(late, faults.parameters.lateDelayMs);
  return {
    timeMs,
    orderMs: moved === undefined ? timeMs : timeMs + 1 + (moved % 5000),
    visibleAtMs: order.visibleAtMs ?? lateAtMs,
    text: (index) => {
      if (defect !== undefined) return defectiveText(voice, index, timeMs, marks, defect);
      const parts = entryParts(voice, index, timeMs, marks);
      if (bytes !== undefined) padParts(parts, bytes);
      return joinParts(parts);
    },
  };
}
