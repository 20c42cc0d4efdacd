import { readFacts } from '../entries/entry-defects.ts';
import { draw, keyOf, type SourceRef } from '../entries/entry-text.ts';
import { momentMs } from '../faults/fault-catalogue.ts';
import type { FaultPlan, Occasion, SettingOf } from '../faults/fault-plan.ts';
import type { AuditLog } from '../world/audit-log.ts';
import type { World } from '../world/world.ts';
import { isAccountRefused } from './access.ts';
import { collectPage, issueCursor, type Page, pageCursor, pageNumber, pageShape, type Search } from './audit-page.ts';
import { type AuditQuery, type AuditQueryOptions, auditQuery, type Cursor } from './audit-query.ts';
import {
  auditErrorReply,
  auditFaultReply,
  BadRequest,
  orBadRequest,
  type Reply,
  refusal,
  type Silence,
} from './reply.ts';

interface AuditApiOptions extends AuditQueryOptions {
  /** Limit of a page, below that of `limit`. */
  readonly pageCap: number | undefined;
}

/** With the faults of paging and of the served content. */
export class AuditApi {
  readonly #world: World;
  readonly #options: AuditApiOptions;

  constructor(world: World, options: AuditApiOptions) {
    this.#world = world;
    this.#options = options;
  }

  /** Never throws on what a client sends. */
  list(source: SourceRef, parameters: URLSearchParams, occasion: Occasion): Reply | Silence {
    const { faults } = this.#world;
    const log = this.#world.log(source);
    if (log === undefined) return auditErrorReply(404, `${source.kind} not found`);
    if (this.#isRefused(source, occasion)) return refusal(403);
    const answer = () => {
      const query = auditQuery(source, parameters, this.#options);
      const refused = refusedRequest(faults, query, occasion, this.#world.nowMs());
      return refused ?? this.#page(source, log, query, occasion);
    };
    return orBadRequest(answer, (message) => auditErrorReply(400, message));
  }

  #isRefused(source: SourceRef, occasion: Occasion): boolean {
    const { faults, accounts } = this.#world;
    if (this.#world.isRefused(source)) return true;
    if (source.kind === 'organization') return faults.fires('refused', occasion) !== undefined;
    const account = accounts.get(source.id);
    return account !== undefined && isAccountRefused(faults, account);
  }

  #page(source: SourceRef, log: AuditLog, query: AuditQuery, occasion: Occasion): Reply {
    const { faults, seed } = this.#world;
    if (query.cursor !== undefined && faults.fires('expired_cursor', occasion) !== undefined) {
      throw new BadRequest('cursor has expired');
    }
    const nowMs = this.#world.nowMs();
    const shape = pageShape(faults, query, occasion, this.#options.pageCap, seed);
    const search: Search = { log, query, shape, nowMs };
    const page = collectPage(search, query.cursor?.after);
    const isShort = this.#cutShort(query, page, occasion);
    const isMiddle = page.next !== undefined && page.seqs.length > 0;
    if (isMiddle && faults.fires('empty_middle_page', occasion) !== undefined) {
      // Leads to the same place as the given cursor: without salt a client would see a repeated one.
      return this.#reply('', 0, issueCursor(query, nowMs, query.cursor?.after, { salt: occasion.number }));
    }
    this.#fillLastPage(search, page, occasion);
    const poisoned = poisonedPage(faults, log, page.seqs, source);
    if (poisoned !== undefined) return poisoned;
    this.#reviseOne(log, page, occasion);
    const cursor = isShort ? undefined : pageCursor({ log, query, page, shape, faults, occasion, nowMs });
    if (shape.isFlipped) page.seqs.reverse();
    const shuffle = page.seqs.length > 1 ? faults.fires('shuffled_page', occasion) : undefined;
    if (shuffle !== undefined) page.seqs.sort((a, b) => draw(shuffle, a) - draw(shuffle, b));
    const delivered = (): void => {
      for (const seq of page.seqs) log.markServed(seq);
    };
    const elements = page.seqs.map((seq) => log.text(seq)).join();
    return { ...this.#reply(elements, this.#count(query, page, occasion), cursor), delivered };
  }

  /** True: the walk ends here, whatever is left. */
  #cutShort(query: AuditQuery, page: Page, occasion: Occasion): boolean {
    const short = this.#world.faults.meets('short_answer', occasion, ({ size, onPage, before }) => {
      if (page.next === undefined && page.seqs.length <= size) return false;
      if (onPage !== undefined && onPage !== pageNumber(query)) return false;
      return before === undefined || query.window.beforeMs <= momentMs(before);
    });
    if (short === undefined) return false;
    page.seqs.length = Math.min(page.seqs.length, short.size);
    page.next = undefined;
    return true;
  }

  // Leaves exactly a full page for the next request.
  #fillLastPage(search: Search, page: Page, occasion: Occasion): void {
    if (page.next === undefined || !this.#world.faults.isOn('full_last_page')) return;
    const rest = collectPage(search, page.next);
    const left = rest.seqs.length;
    if (rest.next !== undefined || left === 0 || left >= page.seqs.length) return;
    if (this.#world.faults.fires('full_last_page', occasion) === undefined) return;
    page.seqs.length = left;
    page.next = search.log.position(page.seqs[left - 1] as number);
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

  #count(query: AuditQuery, page: Page, occasion: Occasion): number {
    const number = pageNumber(query);
    const isHere = ({ onPage }: { readonly onPage: number | undefined }): boolean =>
      onPage === undefined || onPage === number;
    const wrong = this.#world.faults.meets('wrong_count', occasion, isHere);
    return Math.max(0, page.seqs.length + (wrong?.by ?? 0));
  }

  #reply(elements: string, count: number, cursor: string | undefined): Reply {
    const cursorText = cursor === undefined ? '' : `,"cursor":"${cursor}"`;
    const body = `{"errors":[],"result":[${elements}],"result_info":{"count":"${count}"${cursorText}},"success":true}`;
    return { status: 200, body };
  }
}

const dayMs = 86_400_000;

/** Undefined unless a fault refuses the window or the cursor. */
function refusedRequest(
  faults: FaultPlan,
  { window, cursor }: AuditQuery,
  occasion: Occasion,
  nowMs: number,
): Reply | Silence | undefined {
  const widthMs = window.beforeMs - window.sinceMs;
  const limit = faults.meets('window_limit', occasion, ({ maxDays }) => widthMs > maxDays * dayMs);
  if (limit?.status === 'hang') return { silentBy: 'window_limit' };
  if (limit !== undefined) {
    return auditFaultReply('window_limit', limit.status, `the window must not be wider than ${limit.maxDays} days`);
  }
  if (cursor === undefined) return undefined;
  if (cursor.refusedWith !== undefined) return auditFaultReply('dead_cursor', cursor.refusedWith, 'invalid cursor');
  const dead = faults.meets('dead_cursor', occasion, (setting) => isDead(setting, cursor, nowMs));
  return dead === undefined ? undefined : auditFaultReply('dead_cursor', dead.status, 'cursor has expired');
}

function isDead(setting: SettingOf<'dead_cursor'>, cursor: Cursor, nowMs: number): boolean {
  const { issuedBefore, olderThanSeconds, onPage } = setting;
  if (issuedBefore !== undefined && cursor.issuedMs >= momentMs(issuedBefore)) return false;
  if (olderThanSeconds !== undefined && nowMs - cursor.issuedMs <= olderThanSeconds * 1000) return false;
  return onPage === undefined || cursor.onPage === onPage;
}

/** Undefined without a poisoned entry. Whether an entry is poisoned never changes. */
function poisonedPage(faults: FaultPlan, log: AuditLog, seqs: readonly number[], source: SourceRef): Reply | undefined {
  if (!faults.isOn('poison_page')) return undefined;
  const key = keyOf(source.id);
  for (const seq of seqs) {
    const occasion: Occasion = { number: draw(key, seq), source, operation: 'audit' };
    const poison = faults.meets('poison_page', occasion, (setting) => isPoisoned(setting, log, seq));
    if (poison !== undefined) return auditFaultReply('poison_page', poison.status, 'internal error');
  }
  return undefined;
}

function isPoisoned({ ids, times, since, before }: SettingOf<'poison_page'>, log: AuditLog, seq: number): boolean {
  const hasRange = since !== undefined || before !== undefined;
  if (ids === undefined && times === undefined && !hasRange) return true;
  const timeMs = log.timeMs(seq);
  if (times?.some((moment) => momentMs(moment) === timeMs) === true) return true;
  const fromMs = since === undefined ? Number.NEGATIVE_INFINITY : momentMs(since);
  const untilMs = before === undefined ? Number.POSITIVE_INFINITY : momentMs(before);
  if (hasRange && fromMs <= timeMs && timeMs < untilMs) return true;
  if (ids === undefined) return false;
  const { id } = readFacts(log.originalText(seq));
  return id !== null && ids.includes(id);
}
