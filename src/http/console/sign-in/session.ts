import { createHash, createHmac, randomBytes } from 'node:crypto';

/** How long a sign-in lasts at most. */
export const SESSION_SECONDS = 12 * 3_600;
export const SESSION_COOKIE = 'orgtrail_session';

/** What the cookie of a session holds: 256 random bits, which say nothing. */
export const createSessionId = (): string => randomBytes(32).toString('base64url');

/**
 * What the database keeps of a session: a hash, from which the cookie cannot be derived. Of a session that was begun with the
 * token of the environment it is keyed with that token, so that another token ends it.
 */
export const sessionKey = (id: string, feedToken: string | undefined): Buffer =>
  feedToken === undefined
    ? createHash('sha256').update(`orgtrail console session ${id}`).digest()
    : createHmac('sha256', feedToken).update(`orgtrail console session ${id}`).digest();

/** The keys that the session of this cookie may have; none if it is no cookie of a session. */
export const sessionKeys = (cookie: string | undefined, feedToken: string | undefined): readonly Buffer[] => {
  if (cookie === undefined || !/^[\w-]{43}$/.test(cookie)) return [];
  const named = sessionKey(cookie, undefined);
  return feedToken === undefined ? [named] : [named, sessionKey(cookie, feedToken)];
};
