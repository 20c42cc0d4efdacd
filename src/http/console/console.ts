import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fastifyCookie from '@fastify/cookie';
import fastifyFormbody from '@fastify/formbody';
import fastifyHelmet from '@fastify/helmet';
import fastifyRateLimit from '@fastify/rate-limit';
import fastifyStatic from '@fastify/static';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { failureOf, httpError, sendNotFound, wantsPage } from '../failure.ts';
import { accessLogPages } from './access-log.routes.ts';
import { archivePages, holdPages } from './archive.routes.ts';
import { checkPages } from './checks.routes.ts';
import { detectionPages, mutePages } from './detections/routes.ts';
import { bundleRoute } from './events/bundle.routes.ts';
import { entityRoutes, newsRoute } from './events/entities.routes.ts';
import { viewRoutes } from './events/result-view.ts';
import { type ExplorerOptions, explorerRoutes } from './events/routes.ts';
import { type SavedOptions, savedRoutes } from './events/saved.routes.ts';
import { evidencePages } from './evidence.routes.ts';
import { type Html, html } from './html.ts';
import type { Operations } from './operations.ts';
import { accountRoutes, type OverviewOptions, organizationRoutes, overviewRoutes } from './overview/routes.ts';
import { type Frame, nextAddress, sendPage, themeRoutes, timesRoutes } from './page.ts';
import { type ConsoleAccess, requireSession, signInRoutes } from './sign-in.routes.ts';
import { replayPages, sinkPages } from './sinks.routes.ts';
import { tokenPages } from './tokens.routes.ts';
import { keepZone } from './words.ts';

interface ConsoleOptions extends ConsoleAccess, OverviewOptions, ExplorerOptions, SavedOptions {
  readonly version: string;
  readonly logger: Logger;
  readonly operations: Operations;
}

/** Pages for people, made on the server. What is added to `pages` is for those who have signed in, and has the headers of security. */
export const consoleRoutes = async (server: FastifyInstance, options: ConsoleOptions): Promise<void> => {
  const frame: Frame = { version: options.version };
  await server.register(async (console) => {
    await console.register(fastifyCookie);
    await console.register(fastifyFormbody, { bodyLimit: 16_384 });
    await console.register(fastifyHelmet, securityHeaders);
    await console.register(fastifyRateLimit, { global: false });
    console.addHook('onRequest', sameOrigin);
    console.addHook('onRequest', keepZone);
    showErrors(console, frame, options.logger);
    await assetRoutes(console);
    themeRoutes(console);
    timesRoutes(console);
    viewRoutes(console);
    signInRoutes(console, frame, options);
    await console.register(async (pages) => {
      pages.addHook('onRequest', requireSession(frame, options));
      overviewRoutes(pages, frame, options);
      organizationRoutes(pages, frame, options);
      accountRoutes(pages, frame, options);
      evidencePages(pages, frame, options.shownEvidence);
      detectionPages(pages, frame, options);
      mutePages(pages, frame, options);
      holdPages(pages, frame, options.operations);
      archivePages(pages, frame, options);
      checkPages(pages, frame, options.operations);
      sinkPages(pages, frame, options.operations);
      replayPages(pages, frame, options);
      tokenPages(pages, frame, options);
      accessLogPages(pages, frame, options.operations);
      explorerRoutes(pages, frame, options);
      entityRoutes(pages, frame, options);
      savedRoutes(pages, frame, options);
      newsRoute(pages, frame, options);
      bundleRoute(pages, options);
    });
  });
};

/** Nothing from anywhere else, nothing inline, in no frame. */
const securityHeaders = {
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      defaultSrc: ["'none'"],
      scriptSrc: ["'self'"],
      styleSrc: ["'self'"],
      imgSrc: ["'self'"],
      fontSrc: ["'self'"],
      connectSrc: ["'self'"],
      formAction: ["'self'"],
      frameAncestors: ["'none'"],
      baseUri: ["'none'"],
    },
  },
  // Nothing is told to other sites; `no-referrer` would also take the Origin from our own forms, which `sameOrigin` checks.
  referrerPolicy: { policy: 'same-origin' as const },
  xFrameOptions: { action: 'deny' as const },
  // Whether a host is reached by https only is for the proxy that terminates TLS to say.
  strictTransportSecurity: false,
};

const showErrors = (console: FastifyInstance, frame: Frame, logger: Logger): void => {
  console.setErrorHandler((error: FastifyError, request, reply) => {
    const { code, status, reason, retryAfterSeconds } = failureOf(error, request, logger);
    if (retryAfterSeconds !== undefined) reply.header('retry-after', retryAfterSeconds);
    const text = `${reason.charAt(0).toUpperCase()}${reason.slice(1)}${/[.?]$/.test(reason) ? '' : '.'}`;
    const title = titles[code] ?? (code < 500 ? 'Invalid request' : 'Temporarily unavailable');
    const link = code >= 500 || code === 429 ? tryAgain(request) : wayBack(request);
    const more = status === 'unavailable' ? ' Collection resumes by itself as soon as it does.' : '';
    const body = html`<section class="message"><h1>${title}</h1><p>${text}${more}</p><p>${link}</p></section>`;
    return sendPage(request, reply.code(code), frame, { title, body });
  });
  // Of the whole server: there is one for all that has no route.
  console.setNotFoundHandler((request, reply) => {
    if (!wantsPage(request)) return sendNotFound(request, reply);
    const body = html`<section class="message"><h1>Not found</h1><p>This page does not exist.</p><p><a href="/">To the overview</a></p></section>`;
    return sendPage(request, reply.code(404), frame, { title: 'Not found', body });
  });
};

const titles: Readonly<Record<number, string>> = {
  404: 'Not found',
  429: 'Too many attempts',
  500: 'Something went wrong',
};

const tryAgain = ({ url }: FastifyRequest): Html => html`<a href="${nextAddress(url)}">Try again</a>`;

/** What is missing or was asked for wrongly is so the next time, too. */
const wayBack = ({ url }: FastifyRequest): Html =>
  /^\/(?:events|searches)/.test(url)
    ? html`<a href="/events">Back to events</a>`
    : html`<a href="/">To the overview</a>`;

const bundled = fileURLToPath(new URL('console', import.meta.url));
const folders = existsSync(bundled)
  ? [bundled]
  : [fileURLToPath(new URL('assets', import.meta.url)), fileURLToPath(new URL('.', import.meta.resolve('idiomorph')))];

/** Public, without data. Revalidated each time (an ETag keeps that small), so that replicas of two versions behind one address do no harm. */
const assetRoutes = async (console: FastifyInstance): Promise<void> => {
  await console.register(fastifyStatic, {
    root: folders,
    prefix: '/console/assets/',
    cacheControl: false,
    index: false,
    list: false,
    schemaHide: true,
    // Of the library, one file.
    allowedPath: (path) =>
      /^\/(?:console\.css|overview\.css|explorer\.css|explorer\.js|summary\.css|summary\.js|result\.css|working\.css|side-panel\.js|live-tail\.js|keep-searching\.js|mark\.svg|console\.js|idiomorph\.esm\.js)$/.test(
        path,
      ),
    setHeaders: (reply) => void reply.header('cache-control', 'no-cache'),
  });
};

/** CSRF: everything but GET and HEAD must come from the console itself. SameSite=Strict helps besides; this holds for signing in, too. */
const sameOrigin = async (request: FastifyRequest, _reply: FastifyReply): Promise<void> => {
  if (request.is404 || request.method === 'GET' || request.method === 'HEAD') return;
  const { origin, 'sec-fetch-site': site } = request.headers;
  const fromHere = typeof origin === 'string' ? hostOf(origin) === request.host : site === 'same-origin';
  if (fromHere && (site === undefined || site === 'same-origin')) return;
  throw httpError(403, 'this form was not sent from this console');
};

const hostOf = (origin: string): string | undefined => (URL.canParse(origin) ? new URL(origin).host : undefined);
