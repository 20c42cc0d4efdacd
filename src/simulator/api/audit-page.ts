import { draw, keyOf } from '../entries/entry-text.ts';
import type { FaultName } from '../faults/fault-catalogue.ts';
import type { FaultPlan, Occasion } from '../faults/fault-plan.ts';
import type { AuditLog, LogPosition } from '../world/audit-log.ts';
import { type AuditQuery, type Cursor, writeCursor } from './audit-query.ts';

/** Numbers of entries in the log. */
export interface Page {
  readonly seqs: number[];
  /** Start of the next page; undefined on the last one. */
  next: LogPosition | undefined;
}

export interface Search {
  readonly log: AuditLog;
  readonly query: AuditQuery;
  readonly shape: PageShape;
  /** Milliseconds since the epoch; later entries are not seen. */
  readonly nowMs: number;
}

export function collectPage(search: Search, after: LogPosition | undefined): Page {
  const { shuffleKey } = search.shape;
  return shuffleKey === undefined ? walkedPage(search, after) : shuffledPage(search, after, shuffleKey);
}

function walkedPage({ log, query, shape, nowMs }: Search, after: LogPosition | undefined): Page {
  const { matches } = query.filters;
  const page: Page = { seqs: [], next: undefined };
  let last = after;
  for (const seq of log.walk({ ...query.window, direction: shape.direction }, after)) {
    if (!log.isVisible(seq, nowMs)) continue;
    if (matches !== undefined && !matches(log.text(seq))) continue;
    if (page.seqs.length === shape.size) {
      page.next = last;
      return page;
    }
    page.seqs.push(seq);
    last = log.position(seq);
  }
  return page;
}

// By number alone: entries added during a walk do not move others.
function shuffledPage({ log, query, shape, nowMs }: Search, after: LogPosition | undefined, key: number): Page {
  const { matches } = query.filters;
  const from = after === undefined ? -1 : draw(key, after.seq);
  const rest = [...log.walk(query.window)]
    .filter((seq) => draw(key, seq) > from && log.isVisible(seq, nowMs))
    .filter((seq) => matches === undefined || matches(log.text(seq)))
    .sort((a, b) => draw(key, a) - draw(key, b));
  const seqs = rest.slice(0, shape.size);
  const last = seqs.at(-1);
  return { seqs, next: last === undefined || rest.length === seqs.length ? undefined : log.position(last) };
}

type PageEnd = Search & Readonly<{ page: Page; faults: FaultPlan; occasion: Occasion }>;

export const pageNumber = ({ cursor }: AuditQuery): number => (cursor === undefined ? 1 : cursor.onPage + 1);

/** Leads behind `after`, on the page that is asked for. */
export const issueCursor = (
  query: AuditQuery,
  nowMs: number,
  after: LogPosition | undefined,
  more: Partial<Cursor> = {},
): string => writeCursor(query.binding, { after, onPage: pageNumber(query), issuedMs: Math.floor(nowMs), ...more });

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
  // A cycle's first cursor cannot hold its own text.
  const firstText = place === 1 ? query.cursor?.text : first;
  if (place >= cycle.pages && firstText !== undefined) return firstText;
  // Same bytes the second time: in a cycle all have the age of the first cursor.
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

interface PageShape {
  readonly size: number;
  /** How pages follow each other. */
  readonly direction: 'asc' | 'desc';
  /** Each page is reversed. */
  readonly isFlipped: boolean;
  /** Draws the order of the entries. */
  readonly shuffleKey: number | undefined;
  readonly cursors: 'work' | 'refused' | 'none';
  readonly refusedWith: number;
}

const shaping = ['page_cap', 'page_blocks', 'wrong_order'] as const satisfies readonly FaultName[];

/** As asked for, bent by the current faults. */
export function pageShape(
  faults: FaultPlan,
  query: AuditQuery,
  occasion: Occasion,
  cap: number | undefined,
  seed: number,
): PageShape {
  const asked = query.window.direction;
  const shape = plainShape(query, Math.min(query.limit, cap ?? query.limit));
  if (!shaping.some((name) => faults.isOn(name))) return shape;
  const size = faults.meets('page_cap', occasion);
  const blocks = faults.meets('page_blocks', occasion);
  const order = faults.meets('wrong_order', occasion);
  const met = [size, blocks, order].filter((setting) => setting !== undefined);
  const bad = met.find(({ cursors }) => cursors === 'none') ?? met.find(({ cursors }) => cursors === 'refused');
  return {
    ...shape,
    size: Math.min(shape.size, size?.size ?? shape.size),
    ...(blocks === undefined ? {} : blockShape(blocks.direction, asked)),
    ...(order === undefined ? {} : orderShape(order.order, keyOf('wrong_order', seed))),
    ...(bad === undefined ? {} : { cursors: bad.cursors, refusedWith: bad.refusedWith }),
  };
}

/** Without faults. */
export const plainShape = ({ window }: AuditQuery, size: number): PageShape => ({
  size,
  direction: window.direction,
  isFlipped: false,
  shuffleKey: undefined,
  cursors: 'work',
  refusedWith: 400,
});

type Turn = Pick<PageShape, 'direction' | 'isFlipped'>;

/** Ascending gets the newest page first, ascending inside; descending depends on what `direction` turns. */
function blockShape(turns: 'mirrored' | 'ignored' | 'inside', asked: 'asc' | 'desc'): Turn {
  if (turns === 'mirrored') return { direction: asked === 'asc' ? 'desc' : 'asc', isFlipped: true };
  return { direction: 'desc', isFlipped: turns === 'ignored' || asked === 'asc' };
}

function orderShape(
  order: 'descending' | 'ascending' | 'shuffled',
  key: number,
): Pick<PageShape, 'shuffleKey'> & Partial<Turn> {
  if (order === 'shuffled') return { shuffleKey: key };
  return { direction: order === 'descending' ? 'desc' : 'asc', isFlipped: false, shuffleKey: undefined };
}
