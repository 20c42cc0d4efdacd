import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type FeedToken, isLoopback, sameSecret, tokenOf } from '../require-token.ts';
import { type Html, html } from './html.ts';
import { nextAddress } from './next-address.ts';
import { type Frame, hidden, sendPage } from './page.ts';
import { createSession, isSession, SESSION_SECONDS } from './session.ts';

const SESSION_COOKIE = 'orgtrail_session';
/** Of one address. The token has 16 characters or more: this is against noise in the first place. */
const ATTEMPTS_PER_MINUTE = 10;

/** What a browser on this machine calls it. */
const loopbackName = /^(localhost|127(\.\d{1,3}){3}|\[::1\]|::1)$/i;

/** Who may see the console. */
export interface ConsoleAccess {
  /** Where the server listens. */
  readonly host: string;
  readonly feedToken: FeedToken;
  /** Milliseconds since 1970; for tests. */
  readonly now?: () => number;
}

/**
 * Lets through who has signed in; sends others to sign in, and back after it. A hook of Fastify. Without a token the
 * console is open on loopback, under the names of loopback only: a page of another site must not get in by a name of its
 * own that leads here (DNS rebinding), and a proxy in front is no loopback.
 */
export const requireSession = (frame: Frame, access: ConsoleAccess) => {
  const now = access.now ?? Date.now;
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const { host } = access;
    const feedToken = tokenOf(access.feedToken);
    if (feedToken === undefined) {
      if (isLoopback(host) && loopbackName.test(request.hostname)) return;
      return void (await sendPage(request, reply.code(403), frame, closedWithoutToken));
    }
    if (isSession(request.cookies[SESSION_COOKIE], feedToken, now())) return;
    const next = request.method === 'GET' ? nextAddress(request.url) : '/';
    await reply.redirect(`/console/sign-in${next === '/' ? '' : `?next=${encodeURIComponent(next)}`}`, 303);
  };
};

const closedWithoutToken = {
  title: 'Closed',
  closed: true,
  body: html`<section class="message"><h1>The console is closed</h1>
<p>It is reachable from outside this machine, and no token protects it yet.</p>
<p>Set <code>ORGTRAIL_FEED_TOKEN</code> (or <code>ORGTRAIL_FEED_TOKEN_FILE</code>) to a secret of 16 characters or more,
for example from <code>openssl rand -hex 24</code>, and start orgtrail again. Then sign in here with it.</p></section>`,
};

interface SignIn {
  readonly token?: unknown;
  readonly next?: unknown;
}

/** Signing in with the feed token, and out. */
export const signInRoutes = (console: FastifyInstance, frame: Frame, access: ConsoleAccess): void => {
  const now = access.now ?? Date.now;
  const cookieOf = (request: FastifyRequest) =>
    ({ path: '/', httpOnly: true, sameSite: 'strict', secure: request.protocol === 'https' }) as const;

  console.get<{ Querystring: SignIn }>('/console/sign-in', { schema: hidden }, (request, reply) => {
    const next = nextAddress(request.query.next);
    const feedToken = tokenOf(access.feedToken);
    const inside = feedToken === undefined || isSession(request.cookies[SESSION_COOKIE], feedToken, now());
    return inside ? reply.redirect(next, 303) : sendSignIn(request, reply, frame, next);
  });

  console.post<{ Body: SignIn | undefined }>(
    '/console/sign-in',
    { schema: hidden, config: { rateLimit: attemptLimit } },
    (request, reply) => {
      const next = nextAddress(request.body?.next);
      const given = request.body?.token;
      const feedToken = tokenOf(access.feedToken);
      if (feedToken === undefined) return reply.redirect(next, 303);
      if (typeof given !== 'string' || !sameSecret(given.trim(), feedToken)) {
        return sendSignIn(request, reply.code(403), frame, next, 'That is not the feed token.');
      }
      return reply
        .setCookie(SESSION_COOKIE, createSession(feedToken, now()), { ...cookieOf(request), maxAge: SESSION_SECONDS })
        .redirect(next, 303);
    },
  );

  console.post('/console/sign-out', { schema: hidden }, (request, reply) =>
    reply.clearCookie(SESSION_COOKIE, cookieOf(request)).redirect('/console/sign-in', 303),
  );
};

const attemptLimit = {
  max: ATTEMPTS_PER_MINUTE,
  timeWindow: '1 minute',
  errorResponseBuilder: (_request: FastifyRequest, { after }: { after: string }) =>
    Object.assign(new Error(`Too many attempts to sign in from your address. Try again in ${after}.`), {
      statusCode: 429,
    }),
};

const sendSignIn = (request: FastifyRequest, reply: FastifyReply, frame: Frame, next: string, fault?: string) =>
  sendPage(request, reply, frame, { title: 'Sign in', closed: true, body: signInForm(next, fault) });

const signInForm = (
  next: string,
  fault: string | undefined,
): Html => html`<form class="sign-in panel" method="post" action="/console/sign-in">
<h1>Sign in</h1>
${fault === undefined ? null : html`<p class="fault" role="alert" id="fault">${fault}</p>`}
<input type="hidden" name="next" value="${next}">
<label for="token">Feed token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus
 aria-describedby="${fault === undefined ? 'hint' : 'fault hint'}">
<p class="hint" id="hint">The value of <code>ORGTRAIL_FEED_TOKEN</code>. It stays in this browser for 12 hours, as a
cookie that does not hold the token.</p>
<button class="primary" type="submit">Sign in</button>
</form>`;
