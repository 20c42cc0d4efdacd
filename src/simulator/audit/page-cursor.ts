import type { FaultPlan, Occasion } from '../faults/fault-plan.ts';
import type { AuditLog, LogPosition } from '../world/audit-log.ts';
import { type Cursor, writeCursor } from './audit-cursor.ts';
import type { AuditQuery } from './audit-query.ts';
import type { Page } from './page-collection.ts';
import type { PageShape } from './page-shape.ts';

/** A page that needs its cursor. */
export interface PageEnd {
  readonly log: AuditLog;
  readonly query: AuditQuery;
  readonly page: Page;
  readonly shape: PageShape;
  readonly faults: FaultPlan;
  readonly occasion: Occasion;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

/** The number of the page that is asked for, from 1. */
export function pageNumber({ cursor }: AuditQuery): number {
  return cursor === undefined ? 1 : cursor.onPage + 1;
}

/** A cursor to the entries behind `after`, as it stands on the page that is asked for. */
export function issueCursor(
  query: AuditQuery,
  nowMs: number,
  after: LogPosition | undefined,
  more: Partial<Cursor> = {},
): string {
  return writeCursor(query.binding, { after, onPage: pageNumber(query), issuedMs: Math.floor(nowMs), ...more });
}

/** The cursor of a page, with the faults that happen to cursors; undefined when it has none. */
export function pageCursor(end: PageEnd): string | undefined {
  if (end.shape.cursors === 'none') return undefined;
  return end.page.next === undefined ? lastCursor(end) : middleCursor(end, end.page.next);
}

function middleCursor(end: PageEnd, next: LogPosition): string | undefined {
  const { log, query, page, shape, faults, occasion, nowMs } = end;
  const { seqs } = page;
  if (query.cursor !== undefined && faults.fires('repeated_cursor', occasion) !== undefined) return query.cursor.text;
  if (seqs.length === shape.size && faults.fires('full_page_no_cursor', occasion) !== undefined) return undefined;
  const beforeLast = seqs.at(-2);
  const isDoubled = beforeLast !== undefined && faults.fires('duplicate_entries', occasion) !== undefined;
  const after = isDoubled ? log.position(beforeLast) : next;
  const refusedWith = shape.cursors === 'refused' ? shape.refusedWith : undefined;
  const cycle = faults.meets('cursor_cycle', occasion);
  if (cycle === undefined) return issueCursor(query, nowMs, after, { refusedWith });
  const { place = 0, first } = query.cursor?.cycle ?? {};
  // The first cursor of a cycle is its own text: it cannot hold it.
  const firstText = place === 1 ? query.cursor?.text : first;
  if (place >= cycle.pages && firstText !== undefined) return firstText;
  // To the byte the same the second time round: in a cycle the age of the first cursor is that of all.
  const issuedMs = place === 0 ? nowMs : (query.cursor?.issuedMs ?? nowMs);
  return issueCursor(query, issuedMs, after, { refusedWith, cycle: { place: place + 1, first: firstText } });
}

function lastCursor({ log, query, page, shape, faults, occasion, nowMs }: PageEnd): string | undefined {
  const last = page.seqs.at(-1);
  const after = last === undefined ? query.cursor?.after : log.position(last);
  const dead = faults.meets(
    'last_page_dead_cursor',
    occasion,
    ({ onEmptyPages }) => last !== undefined || onEmptyPages,
  );
  if (dead !== undefined) return issueCursor(query, nowMs, after, { refusedWith: dead.status });
  if (last === undefined) return undefined;
  if (page.seqs.length === shape.size && faults.fires('full_last_page_bad_cursor', occasion) !== undefined) {
    return issueCursor(query, nowMs, after, { refusedWith: 400 });
  }
  return faults.fires('last_page_cursor', occasion) === undefined ? undefined : issueCursor(query, nowMs, after);
}
