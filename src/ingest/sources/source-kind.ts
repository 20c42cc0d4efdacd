import type { Page, PageBody } from '../entries/page.ts';
import type { Filter, FilterRules } from '../planning/filters.ts';
import type { Direction } from '../planning/walk.ts';

/** One page of one walk. All but `cursor` must be the same for all pages: what a changed window does is unknown. */
export interface PageQuery {
  /** Milliseconds since the epoch. Whether either bound is inclusive is nowhere defined. */
  readonly since: number;
  readonly before: number;
  /** `result_info.cursor` of the page before; undefined for the first page. */
  readonly cursor?: string | undefined;
  /** 1 to 1,000. Fewer may come, without its being the last page. */
  readonly limit: number;
  readonly direction: Direction;
  /** The API's own names and values (`action_type.not`, `view`); one name may come more than once. */
  readonly filters: readonly Filter[];
}

/** A kind of log, as a folder beside this file exports it and `registry.ts` lists it. The engine knows nothing else of it. */
export interface SourceKind {
  /** Of what each one has such a log, under its own id. */
  readonly owner: 'organization' | 'account';
  /** How long Cloudflare keeps its entries. */
  readonly retentionMs: number;
  /** Nothing older was ever recorded; undefined: not known. */
  readonly firstEntryMs?: number;
  /** What reading it takes, in Cloudflare's words: said when it is refused. */
  readonly permission: string;
  readonly filters: FilterRules;
  /** Of the log of one owner, below the base URL. `segment` is the owner's id, encoded for a path. */
  path(segment: string): string;
  query(page: PageQuery): readonly (readonly [name: string, value: string])[];
  /** Throws UnreadablePageError for anything but a successful answer; no entry can make it throw. */
  readPage(body: PageBody, options: { readonly fastPath: boolean }): Page;
}
