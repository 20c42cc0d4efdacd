import type { AccessKind } from '../../../access/access.ts';
import type { AccessCursor, AccessPage } from '../../../access/access-log-page.sql.ts';

export const ACCESS_LOG_PATH = '/access-log';

/** What the trail of access knows. */
export const accessKinds = [
  'sign-in',
  'sign-out',
  'refusal',
  'search',
  'export',
  'event',
  'feed',
  'access-log',
  'saved-search',
  'mute',
  'evidence',
  'hold',
  'replay',
  'token',
] as const satisfies readonly AccessKind[];

/** What the address asks for; an empty text: all of it. */
export interface GivenAccess {
  readonly since: string;
  readonly before: string;
  readonly who: string;
  readonly kind: string;
  readonly from: AccessCursor | undefined;
}

export interface AccessLogView {
  readonly given: GivenAccess;
  /** Who asks; undefined: a local request without a token. */
  readonly who: string | undefined;
  readonly faults: readonly string[];
  /** Undefined: it was not read, for the faults or the failure. */
  readonly page: AccessPage | undefined;
  readonly failure: string | undefined;
}

/** The address of the page with another filter or another beginning. */
export const accessLogHref = (given: GivenAccess, change: Partial<GivenAccess>): string => {
  const { from, ...texts } = { ...given, from: undefined, ...change };
  const query = new URLSearchParams(Object.entries(texts).filter(([, text]) => text !== ''));
  if (from !== undefined) query.set('from', `${from.at}~${from.id}`);
  return `${ACCESS_LOG_PATH}?${query}`;
};
