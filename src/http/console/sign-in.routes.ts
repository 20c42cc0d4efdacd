import { createHash, createHmac, randomBytes } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { sessionProof, tokenProof } from '../../postgres/access/access.ts';
import type { AccessSource } from '../../postgres/access/open-access.sql.ts';
import { httpError } from '../failure.ts';
import { FAILURES_PER_MINUTE, FEED_TOKEN_NAME, type FeedToken, type Guard, latestToken } from '../guard.ts';
import { type Html, html } from './html.ts';
import { cookieOf, type Frame, hidden, nextAddress, sendPage } from './page.ts';

export interface ConsoleAccess {
  readonly feedToken: FeedToken;
  readonly access: AccessSource;
  readonly guard: Guard;
}

/** Sends others to sign in, and back after it. Without a token the console is open to local requests on loopback. */
export const requireSession = (frame: Frame, access: ConsoleAccess) => {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    if (await isInside(request, access)) return;
    if (!(await access.guard.canSignIn())) {
      return void (await sendPage(request, reply.code(403), frame, closedWithoutToken));
    }
    const next = request.method === 'GET' ? nextAddress(request.url) : '/';
    await reply.redirect(`/console/sign-in${next === '/' ? '' : `?next=${encodeURIComponent(next)}`}`, 303);
  };
};

/** Of a session that has signed in: the database knows what its token may. */
export const sessionProofOf = ({ cookies, identity }: FastifyRequest): Buffer | undefined => {
  const cookie = cookies[SESSION_COOKIE];
  return identity?.session === true && cookie !== undefined ? sessionProof(cookie) : undefined;
};

/** Notes who it is. Rejects if the database does not answer. */
const isInside = async (request: FastifyRequest, { feedToken, access, guard }: ConsoleAccess): Promise<boolean> => {
  const keys = sessionKeys(request.cookies[SESSION_COOKIE], latestToken(feedToken));
  const session = keys.length === 0 ? undefined : await access.sessions.find(keys);
  if (session !== undefined) request.identity = { who: session.tokenName ?? FEED_TOKEN_NAME, session: true };
  else if (guard.isOpen(request)) request.identity = { who: undefined, session: false };
  return request.identity !== undefined;
};

const closedWithoutToken = {
  title: 'Closed',
  body: html`<section class="message"><h1>The console is closed</h1>
<p>It is reachable from outside this machine, and no token protects it yet.</p>
<p>Set <code>ORGTRAIL_FEED_TOKEN</code> (or <code>ORGTRAIL_FEED_TOKEN_FILE</code>) to a secret of 16 characters or more,
for example from <code>openssl rand -hex 24</code>, and start orgtrail again, or make a token with
<code>orgtrail token create NAME --scope search</code>. Then sign in here with it.</p></section>`,
};

interface SignIn {
  readonly token?: unknown;
  readonly next?: unknown;
}

export const signInRoutes = (console: FastifyInstance, frame: Frame, options: ConsoleAccess): void => {
  const { feedToken, access, guard } = options;
  console.get<{ Querystring: SignIn }>('/console/sign-in', { schema: hidden }, async (request, reply) => {
    const next = nextAddress(request.query.next);
    return (await isInside(request, options)) ? reply.redirect(next, 303) : sendSignIn(request, reply, frame, next);
  });

  console.post<{ Body: SignIn | undefined }>(
    '/console/sign-in',
    { schema: hidden, config: { trail: 'sign-in', rateLimit: attemptLimit } },
    async (request, reply) => {
      const next = nextAddress(request.body?.next);
      const given = request.body?.token;
      if (guard.isOpen(request)) return reply.redirect(next, 303);
      const token = typeof given === 'string' ? given.trim() : undefined;
      const presented = token === undefined ? undefined : await guard.present(token);
      if (token === undefined || presented === undefined)
        return sendSignIn(request, reply.code(403), frame, next, wrongToken);
      if (!presented.scopes.includes('search')) return sendSignIn(request, reply.code(403), frame, next, noSearch);
      const id = createSessionId();
      const { who, tokenId } = presented;
      const key = sessionKey(id, tokenId === undefined ? latestToken(feedToken) : undefined);
      const proof = tokenId === undefined ? undefined : { token: tokenProof(token), session: sessionProof(id) };
      await access.sessions.start({ key, tokenId, seconds: SESSION_SECONDS, proof });
      request.identity = { who, session: true };
      return reply.setCookie(SESSION_COOKIE, id, { ...cookieOf(request), maxAge: SESSION_SECONDS }).redirect(next, 303);
    },
  );

  console.post('/console/sign-out', { schema: hidden, config: { trail: 'sign-out' } }, async (request, reply) => {
    if (await isInside(request, options)) {
      await access.sessions.end(sessionKeys(request.cookies[SESSION_COOKIE], latestToken(feedToken)));
    }
    return reply.clearCookie(SESSION_COOKIE, cookieOf(request)).redirect('/console/sign-in', 303);
  });
};

const wrongToken = 'Wrong, expired or revoked token.';
const noSearch = 'That token has no scope search, which the console needs.';

const attemptLimit = {
  max: FAILURES_PER_MINUTE,
  timeWindow: '1 minute',
  errorResponseBuilder: (_request: FastifyRequest, { after }: { after: string }) =>
    httpError(429, `Too many attempts to sign in from your address. Try again in ${after}.`),
};

const sendSignIn = (request: FastifyRequest, reply: FastifyReply, frame: Frame, next: string, fault?: string) =>
  sendPage(request, reply, frame, { title: 'Sign in', body: signInForm(next, fault) });

const signInForm = (
  next: string,
  fault: string | undefined,
): Html => html`<form class="sign-in panel" method="post" action="/console/sign-in">
<h1>Sign in</h1>
${fault === undefined ? null : html`<p class="fault" role="alert" id="fault">${fault}</p>`}
<input type="hidden" name="next" value="${next}">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus
 aria-describedby="${fault === undefined ? 'hint' : 'fault hint'}">
<p class="hint" id="hint">A token with the scope search (<code>orgtrail token create</code>), or the value of
<code>ORGTRAIL_FEED_TOKEN</code>. You stay signed in for 12 hours, by a cookie that does not hold the token.</p>
<button class="primary" type="submit">Sign in</button>
</form>`;

const SESSION_SECONDS = 12 * 3_600;
const SESSION_COOKIE = 'orgtrail_session';

/** 256 random bits, which say nothing. */
export const createSessionId = (): string => randomBytes(32).toString('base64url');

/** A hash, from which the cookie cannot be derived; keyed with ORGTRAIL_FEED_TOKEN if begun with it, so that another token ends the session. */
export const sessionKey = (id: string, feedToken: string | undefined): Buffer =>
  feedToken === undefined
    ? createHash('sha256').update(`orgtrail console session ${id}`).digest()
    : createHmac('sha256', feedToken).update(`orgtrail console session ${id}`).digest();

/** None if it is no cookie of a session. */
export const sessionKeys = (cookie: string | undefined, feedToken: string | undefined): readonly Buffer[] => {
  if (cookie === undefined || !/^[\w-]{43}$/.test(cookie)) return [];
  const named = sessionKey(cookie, undefined);
  return feedToken === undefined ? [named] : [named, sessionKey(cookie, feedToken)];
};
