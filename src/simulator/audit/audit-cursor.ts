import { decodeToken, encodeToken } from '../api/opaque-token.ts';
import { BadRequest } from '../api/reply.ts';
import type { LogPosition } from '../world/audit-log.ts';

/** What a cursor of the audit log says. Opaque to clients. */
export interface Cursor {
  /** Behind which entry to go on; undefined: from the first one. */
  readonly after: LogPosition | undefined;
  /** The number of the page that the cursor stands on, from 1. */
  readonly onPage: number;
  /** Milliseconds since the epoch. */
  readonly issuedMs: number;
  /** The cursor always answers with this status. */
  readonly refusedWith?: number | undefined;
  /** Makes a cursor to the same place look different. */
  readonly salt?: number | undefined;
  /** Its place in a cycle of cursors (fault `cursor_cycle`), from 1, and the text of the first one. */
  readonly cycle?: { readonly place: number; readonly first?: string | undefined } | undefined;
}

/** The text of a cursor. `binding` stands for the parameters that it belongs to. */
export function writeCursor(binding: number, cursor: Cursor): string {
  const { after, onPage, issuedMs, refusedWith, salt, cycle } = cursor;
  const place = after === undefined ? {} : { t: after.orderMs, n: after.seq };
  const round = cycle === undefined ? {} : { c: cycle.place, f: cycle.first };
  return encodeToken({ v: 3, b: binding, ...place, p: onPage, i: issuedMs, x: refusedWith, s: salt, ...round });
}

/** What the text of a cursor says. Throws BadRequest when it is none, or belongs to other parameters. */
export function readCursor(text: string, binding: number): Cursor {
  const content = decodeToken(text);
  if (content?.['v'] !== 3) throw new BadRequest('invalid cursor');
  if (content['b'] !== binding) throw new BadRequest('cursor does not belong to these parameters');
  const { t, n, p, i, x, c, f } = content as Record<string, number | undefined> & { f?: string };
  return {
    after: t === undefined || n === undefined ? undefined : { orderMs: t, seq: n },
    onPage: p ?? 1,
    issuedMs: i ?? 0,
    refusedWith: x,
    cycle: c === undefined ? undefined : { place: c, first: f },
  };
}
