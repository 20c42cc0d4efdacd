import { createHmac, timingSafeEqual } from 'node:crypto';

/** How long a sign-in lasts. */
export const SESSION_SECONDS = 12 * 3_600;

/**
 * What the cookie of a session holds: when it ends, and proof that somebody with the token began it. Any replica that
 * has the same token accepts it, also after a restart; another token ends it. The token cannot be read from it.
 */
export const createSession = (feedToken: string, nowMs: number): string => {
  const endsAt = String(Math.floor(nowMs / 1_000) + SESSION_SECONDS);
  return `${endsAt}.${proof(feedToken, endsAt)}`;
};

/** Whether the cookie is of a session of this token that has not ended. */
export const isSession = (cookie: string | undefined, feedToken: string, nowMs: number): boolean => {
  const [, endsAt = '', given = ''] = /^(\d{1,12})\.([\w-]{43})$/.exec(cookie ?? '') ?? [];
  if (endsAt === '') return false;
  const same = timingSafeEqual(Buffer.from(given), Buffer.from(proof(feedToken, endsAt)));
  return same && Number(endsAt) * 1_000 > nowMs;
};

const proof = (feedToken: string, endsAt: string): string => {
  const key = createHmac('sha256', feedToken).update('orgtrail console session').digest();
  return createHmac('sha256', key).update(endsAt).digest('base64url');
};
