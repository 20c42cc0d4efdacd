interface FaultDescription<P extends ParameterSet> {
  readonly summary: string;
  /** When the fault is only named. */
  readonly probability: number;
  /** False: may keep a correct client from the truth for too long. */
  readonly inAll: boolean;
  readonly parameters: P;
}

const fault = (summary: string, probability: number, inAll = true): FaultDescription<Record<never, never>> => ({
  summary,
  probability,
  inAll,
  parameters: {},
});

/** Goes wrong every time; not in `--faults all`. */
const misbehaviour = <P extends ParameterSet>(summary: string, parameters: P): FaultDescription<P> => ({
  summary,
  probability: 1,
  inAll: false,
  parameters,
});

const whole = (standard: number, least: number, most: number): Parameter<number> => ({
  isGood: (value) => isWhole(value, least, most),
  what: `an integer between ${least} and ${most}`,
  standard,
});

const isWhole = (value: unknown, least: number, most: number): boolean =>
  isNumber(value) && Number.isInteger(value) && value >= least && value <= most;

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

const pageNumber = whole(1, 1, 1_000_000);

function choice<const W extends string>(words: readonly W[], standard: W): Parameter<W> {
  const isGood = (value: unknown): boolean => (words as readonly unknown[]).includes(value);
  return { isGood, what: `one of ${words.join(', ')}`, standard };
}

const status = (standard: number): Parameter<number> => ({
  isGood: isStatus,
  what: 'a status from 400 to 599',
  standard,
});
const isStatus = (value: unknown): boolean => isWhole(value, 400, 599);

/** Cursors of a page cut or ordered otherwise than asked for. */
const cursorParameters = { cursors: choice(['work', 'refused', 'none'], 'work'), refusedWith: status(400) };

const flag = (standard: boolean): Parameter<boolean> => ({
  isGood: (value) => typeof value === 'boolean',
  what: 'true or false',
  standard,
});

/** `countsAll`: `total_size` includes what is hidden. */
const hiddenParameters = { countsAll: flag(false) };

/** May be negative. */
const difference = (standard: number): Parameter<number> => ({ isGood: isNumber, what: 'a number', standard });

const amount = (standard: number): Parameter<number> => ({
  isGood: (value) => isNumber(value) && value >= 0,
  what: 'a number of 0 or more',
  standard,
});

/** Or `hang`: no answer. */
const statusOrHang = (standard: number): Parameter<number | 'hang'> => ({
  isGood: (value) => value === 'hang' || isStatus(value),
  what: 'a status from 400 to 599 or "hang"',
  standard,
});

const texts = (): Parameter<readonly string[] | undefined> => ({
  isGood: (value) => Array.isArray(value) && value.every(isText),
  what: 'a list of strings',
  standard: undefined,
});
const isText = (value: unknown): boolean => typeof value === 'string' && value !== '';

const moments = (): Parameter<readonly Moment[] | undefined> => ({
  isGood: (value) => Array.isArray(value) && value.every(isMoment),
  what: 'a list of timestamps or milliseconds since the epoch',
  standard: undefined,
});
const isMoment = (value: unknown): boolean =>
  (typeof value === 'string' || isNumber(value)) && !Number.isNaN(momentMs(value));

/** Milliseconds since the epoch; NaN if invalid. */
export const momentMs = (moment: Moment): number => (typeof moment === 'number' ? moment : Date.parse(moment));

const moment = (): Parameter<Moment | undefined> => ({
  isGood: isMoment,
  what: 'a timestamp or milliseconds since the epoch',
  standard: undefined,
});

const optional = <T>({ isGood, what }: Parameter<T>): Parameter<T | undefined> => ({
  isGood,
  what,
  standard: undefined,
});

function word(): Parameter<string | undefined> {
  const isGood = (value: unknown): boolean => typeof value === 'string' && /^\S+$/.test(value);
  return { isGood, what: 'a string without spaces', standard: undefined };
}

/**
 * Of the wire, of paging and of the data; defects of entries are in entry-defects.ts. Faults of the data are decided when an entry
 * comes into being: at the start for the history, later for what is appended.
 */
export const faultCatalogue = {
  server_error: fault('500, 502, 503 or 504, with a JSON, a text or no body', 0.01),
  html_error: fault('502 or 503 with an HTML page', 0.003),
  html_ok: fault('200 with an HTML page', 0.002),
  slow_body: fault('half the body, a pause of slowBodyMs, the rest', 0.01),
  cut_body: fault('the connection is destroyed in the middle of the body', 0.005),
  connection_reset: fault('the connection is destroyed before any byte of the response', 0.002),
  hung: fault('no byte of a response, until hangMs or the client gives up', 0.002, false),
  throttled: fault('a single 429 with Retry-After: retryAfterSeconds', 0.002),
  refused: fault('403 code 10000 for the audit log of an organization, once', 0.002, false),
  listing_403: fault('403 code 10000 for the list of organizations', 0.01, false),
  missing_organization: fault('one organization is missing from one page of the listing', 0.05),
  missing_account: fault('an account is missing from a page of a listing of accounts', 0.02),
  repeated_page_token: fault('the listing answers with a page token that leads to the same page again', 0.01),
  repeated_cursor: fault('a page answers with the very cursor it was asked with', 0.003),
  expired_cursor: fault('a cursor answers 400', 0.005),
  last_page_cursor: fault('the last page has a cursor; an empty page without one follows', 0.2),
  empty_middle_page: fault('an empty page with a cursor that goes on where the page would have', 0.02),
  full_last_page: fault('the page before the last one is short, so that the last one is full and has no cursor', 0.2),
  full_last_page_bad_cursor: fault('a full last page has a cursor, and that cursor answers 400', 0.2),
  full_page_no_cursor: fault('a full page has no cursor although there is more', 0.005, false),
  duplicate_entries: fault('a page begins with the last entry of the page before', 0.02),
  shuffled_page: fault('the entries of one page are not in order', 0.02),
  changed_content: fault('an entry that was served before has the same id and other content', 0.01, false),
  late: fault('an entry becomes visible up to lateDelayMs after its action.time', 0.02),
  equal_timestamps: fault('an entry has the action.time of the one before it', 0.3),
  out_of_order: fault('an entry stands behind later ones, across page edges', 0.01, false),
  unknown_enums: fault('an actor.context, actor.type, action.type or action.result that no document has', 0.05),
  cf_rayid: fault('raw.cf_rayid instead of raw.cf_ray_id', 0.05),
  wrong_date: misbehaviour('the Date header is offsetSeconds ahead of the time (negative: behind)', {
    offsetSeconds: difference(3600),
  }),
  error_in_success: misbehaviour('success: true with errors and an empty result (listing and audit log)', {}),
  hung_organization: misbehaviour('an audit log never answers, or only after answerAfterSeconds', {
    answerAfterSeconds: amount(0),
  }),
  window_limit: misbehaviour('a window wider than maxDays answers with a status, or never ("hang")', {
    maxDays: amount(90),
    status: statusOrHang(400),
  }),
  poison_page: misbehaviour('a page with one of these entries (none named: with one of any) answers with a status', {
    status: status(500),
    ids: texts(),
    times: moments(),
    since: moment(),
    before: moment(),
  }),
  dead_cursor: misbehaviour('cursors for which everything that is set here holds answer with a status', {
    status: status(410),
    issuedBefore: moment(),
    olderThanSeconds: optional(amount(0)),
    onPage: optional(pageNumber),
  }),
  last_page_dead_cursor: misbehaviour('the last page has a cursor as every other, and that one is refused', {
    status: status(400),
    onEmptyPages: flag(false),
  }),
  cursor_cycle: misbehaviour('after this many pages the first cursor comes again, and so on', {
    pages: whole(2, 1, 1_000_000),
  }),
  page_cap: misbehaviour('a page has so many entries at most, whatever limit says', {
    size: whole(100, 1, 1000),
    ...cursorParameters,
  }),
  page_blocks: misbehaviour(
    'the newest page comes first, each ascending inside; direction turns all, nothing, or each',
    { direction: choice(['mirrored', 'ignored', 'inside'], 'mirrored'), ...cursorParameters },
  ),
  wrong_order: misbehaviour('entries are always descending, always ascending, or shuffled over all pages', {
    order: choice(['descending', 'ascending', 'shuffled'], 'descending'),
    ...cursorParameters,
  }),
  short_answer: misbehaviour(
    'a page ends its walk after so many entries, without a cursor, as if there were no more: in any window, or in those that end before a moment',
    { size: whole(7, 0, 1000), onPage: optional(pageNumber), before: moment() },
  ),
  wrong_count: misbehaviour('result_info.count is greater than the number of elements by this (negative: less)', {
    by: whole(1, -1_000_000, 1_000_000),
    onPage: optional(pageNumber),
  }),
  listing_away: misbehaviour('the list of organizations answers with a status', { status: status(503) }),
  broken_listing_page: misbehaviour('one page of the listing answers with a status', {
    page: whole(2, 1, 1_000_000),
    status: status(500),
  }),
  empty_listing: misbehaviour('the listing is empty', hiddenParameters),
  partial_listing: misbehaviour(
    'organizations are missing from the listing: the named ones, or a share',
    hiddenParameters,
  ),
  shifting_listing: misbehaviour(
    'the next page of the listing begins so many organizations further on (negative: back)',
    { by: whole(1, -1_000_000, 1_000_000) },
  ),
  account_refused: misbehaviour('the audit log of an account answers 403 code 10000: named ones, or a share', {}),
  account_listing_403: misbehaviour(
    'GET /accounts and the accounts of an organization answer 403 code 10000 (operation: one of the two)',
    {},
  ),
  empty_account_listing: misbehaviour(
    'GET /accounts and the accounts of an organization are empty (operation: one of the two), for all or for one credential',
    { credential: word() },
  ),
  shifted_account_page: misbehaviour(
    'each later page of GET /accounts begins so many accounts further on (negative: back)',
    { by: whole(1, -1_000_000, 1_000_000) },
  ),
  account_moved: misbehaviour('an account is in the next organization of the listing instead of its own', {}),
  late_access: misbehaviour('an account is listed, and everything else about it answers 403', {}),
  lost_access: misbehaviour(
    'an account is not listed and answers 403, for all or for one credential (e-mail address or fingerprint)',
    { credential: word() },
  ),
  old_account_name: misbehaviour('GET /accounts and GET /accounts/{id} show the name that an account had before', {}),
} as const;

export type FaultName = keyof typeof faultCatalogue;
export const faultNames = Object.keys(faultCatalogue) as FaultName[];

export const parametersOf = (name: FaultName): ParameterSet => faultCatalogue[name].parameters;

interface Parameter<T> {
  readonly isGood: (value: unknown) => boolean;
  /** In words. */
  readonly what: string;
  readonly standard: T;
}

type ParameterSet = Readonly<Record<string, Parameter<unknown>>>;
export type ValuesOf<P> = { readonly [K in keyof P]: P[K] extends Parameter<infer T> ? T : never };
/** RFC 3339, or milliseconds since the epoch. */
type Moment = string | number;
