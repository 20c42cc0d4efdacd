import type { AuditLog, LogPosition } from './audit-log.ts';
import { type AuditQuery, type AuditQueryOptions, auditQuery, writeCursor } from './audit-query.ts';
import type { FaultName } from './fault-catalogue.ts';
import type { Occasion } from './fault-plan.ts';
import { draw } from './random.ts';
import { auditErrorReply, BadRequest, type Reply, refusal } from './reply.ts';
import type { World } from './world.ts';

export interface AuditApiOptions extends AuditQueryOptions {
  /** Entries on a page at most, whatever `limit` asks for; undefined: the limit. */
  readonly pageCap: number | undefined;
  /** A filter that finds little is answered with a short page and a cursor after this many entries looked at in vain. */
  readonly scanLimit: number;
  /** `result_info.count` as a string (as specified) or a number (as seen). */
  readonly countType: 'string' | 'number';
  /** `result_info.cursor` (as documented) or `result_info.cursors.after` (as the SDKs read it). */
  readonly cursorField: 'cursor' | 'cursors.after';
}

interface Page {
  readonly seqs: number[];
  /** Entries that a full page has. */
  readonly size: number;
  /** Where the next page goes on; undefined on the last one. */
  next: LogPosition | undefined;
}

/** `GET /organizations/{id}/logs/audit`, with the faults of paging and of the served content. */
export class AuditApi {
  readonly #world: World;
  readonly #options: AuditApiOptions;

  constructor(world: World, options: AuditApiOptions) {
    this.#world = world;
    this.#options = options;
  }

  /** Answers one request. Never throws on what a client sends. */
  list(organizationId: string, query: URLSearchParams, occasion: Occasion): Reply {
    const log = this.#world.log(organizationId);
    if (log === undefined) return auditErrorReply(404, 'organization not found');
    const isRefused = this.#world.organizations.get(organizationId)?.refused === true;
    if (isRefused || this.#world.faults.fires('refused', occasion) !== undefined) return refusal(403);
    try {
      return this.#page(log, auditQuery(organizationId, query, this.#options), occasion);
    } catch (error) {
      if (error instanceof BadRequest) return auditErrorReply(400, error.message);
      throw error;
    }
  }

  #page(log: AuditLog, query: AuditQuery, occasion: Occasion): Reply {
    const fires = (name: FaultName): number | undefined => this.#world.faults.fires(name, occasion);
    if (query.cursor !== undefined && fires('expired_cursor') !== undefined) throw new BadRequest('cursor has expired');
    const page = this.#collect(log, query);
    const isMiddle = page.next !== undefined && page.seqs.length > 0;
    if (isMiddle && fires('empty_middle_page') !== undefined) {
      // It leads to the same place as the cursor that came: salted, or a client rightly sees a repeated one.
      return this.#reply('', 0, writeCursor(query.binding, query.after, { salt: occasion.number }));
    }
    this.#fillLastPage(log, query, page, fires);
    this.#reviseOne(log, page, occasion);
    const cursor = this.#cursor(log, query, page, fires);
    const shuffle = page.seqs.length > 1 ? fires('shuffled_page') : undefined;
    if (shuffle !== undefined) page.seqs.sort((a, b) => draw(shuffle, a) - draw(shuffle, b));
    let elements = '';
    for (const seq of page.seqs) elements += elements === '' ? log.text(seq) : `,${log.text(seq)}`;
    const delivered = (): void => {
      for (const seq of page.seqs) log.markServed(seq);
    };
    return { ...this.#reply(elements, page.seqs.length, cursor), delivered };
  }

  #collect(log: AuditLog, { window, after, filters: { matches }, limit }: AuditQuery): Page {
    const nowMs = this.#world.nowMs();
    const size = Math.min(limit, this.#options.pageCap ?? limit);
    const page: Page = { seqs: [], size, next: undefined };
    let last = after;
    let scanned = 0;
    for (const seq of log.walk(window, after)) {
      if (!log.isVisible(seq, nowMs)) continue;
      const isWanted = matches === undefined || matches(log.text(seq));
      if (isWanted && page.seqs.length === size) {
        page.next = last;
        return page;
      }
      if (isWanted) {
        page.seqs.push(seq);
        last = log.position(seq);
      } else if (++scanned >= this.#options.scanLimit) {
        page.next = log.position(seq);
        return page;
      }
    }
    return page;
  }

  // Serves so few now that exactly a full page is left for the next request.
  #fillLastPage(log: AuditLog, query: AuditQuery, page: Page, fires: (name: FaultName) => number | undefined): void {
    if (page.next === undefined || !this.#world.faults.isOn('full_last_page')) return;
    const rest = this.#collect(log, { ...query, after: page.next });
    const left = rest.seqs.length;
    if (rest.next !== undefined || left === 0 || left >= page.seqs.length) return;
    if (fires('full_last_page') === undefined) return;
    page.seqs.length = left;
    page.next = log.position(page.seqs[left - 1] as number);
  }

  #cursor(
    log: AuditLog,
    query: AuditQuery,
    page: Page,
    fires: (name: FaultName) => number | undefined,
  ): string | undefined {
    const { seqs, size, next } = page;
    const isFull = seqs.length === size;
    if (next !== undefined) {
      if (query.cursor !== undefined && fires('repeated_cursor') !== undefined) return query.cursor;
      if (isFull && fires('full_page_no_cursor') !== undefined) return undefined;
      const beforeLast = seqs.at(-2);
      const isDoubled = beforeLast !== undefined && fires('duplicate_entries') !== undefined;
      return writeCursor(query.binding, isDoubled ? log.position(beforeLast) : next);
    }
    const last = seqs.at(-1);
    if (last === undefined) return undefined;
    if (isFull && fires('full_last_page_bad_cursor') !== undefined) {
      return writeCursor(query.binding, log.position(last), { isBroken: true });
    }
    return fires('last_page_cursor') === undefined ? undefined : writeCursor(query.binding, log.position(last));
  }

  #reviseOne(log: AuditLog, page: Page, occasion: Occasion): void {
    if (!this.#world.faults.isOn('changed_content')) return;
    const known = page.seqs.filter((seq) => log.wasServed(seq) && log.isPlain(seq));
    if (known.length === 0) return;
    const bits = this.#world.faults.fires('changed_content', occasion);
    if (bits === undefined) return;
    const seq = known[bits % known.length] as number;
    const revision = log.revisions(seq).length + 1;
    log.revise(seq, log.originalText(seq).replace('"description":"', `"description":"Revision ${revision}: `));
  }

  #reply(elements: string, count: number, cursor: string | undefined): Reply {
    const { countType, cursorField } = this.#options;
    const countText = countType === 'string' ? `"${count}"` : String(count);
    const cursorText =
      cursor === undefined
        ? ''
        : cursorField === 'cursor'
          ? `,"cursor":"${cursor}"`
          : `,"cursors":{"after":"${cursor}"}`;
    const body = `{"errors":[],"result":[${elements}],"result_info":{"count":${countText}${cursorText}},"success":true}`;
    return { status: 200, body };
  }
}
