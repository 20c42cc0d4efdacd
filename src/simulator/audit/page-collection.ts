import type { AuditLog, LogPosition } from '../world/audit-log.ts';
import { draw } from '../world/random.ts';
import type { AuditQuery } from './audit-query.ts';
import type { PageShape } from './page-shape.ts';

/** The entries of one page, by their numbers in the log, in the order in which pages follow each other. */
export interface Page {
  readonly seqs: number[];
  /** Behind which entry the next page begins; undefined on the last one. */
  next: LogPosition | undefined;
}

/** What is looked at for a page. */
export interface Search {
  readonly log: AuditLog;
  readonly query: AuditQuery;
  readonly shape: PageShape;
  /** Entries of later visibility are not seen. Milliseconds since the epoch. */
  readonly nowMs: number;
  /** The page ends after so many entries that the filters do not want. */
  readonly scanLimit: number;
}

/** The page that begins behind `after`; undefined: the first one. */
export function collectPage(search: Search, after: LogPosition | undefined): Page {
  const { shuffleKey } = search.shape;
  return shuffleKey === undefined ? walkedPage(search, after) : shuffledPage(search, after, shuffleKey);
}

function walkedPage({ log, query, shape, nowMs, scanLimit }: Search, after: LogPosition | undefined): Page {
  const { matches } = query.filters;
  const page: Page = { seqs: [], next: undefined };
  let last = after;
  let scanned = 0;
  for (const seq of log.walk({ ...query.window, direction: shape.direction }, after)) {
    if (!log.isVisible(seq, nowMs)) continue;
    const isWanted = matches === undefined || matches(log.text(seq));
    if (isWanted && page.seqs.length === shape.size) {
      page.next = last;
      return page;
    }
    if (isWanted) {
      page.seqs.push(seq);
      last = log.position(seq);
    } else if (++scanned >= scanLimit) {
      page.next = log.position(seq);
      return page;
    }
  }
  return page;
}

// An entry's place depends on its number alone: entries that are added during a walk do not move the others.
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
