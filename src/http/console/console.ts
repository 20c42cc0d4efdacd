import fastifyCookie from '@fastify/cookie';
import fastifyFormbody from '@fastify/formbody';
import fastifyHelmet from '@fastify/helmet';
import fastifyRateLimit from '@fastify/rate-limit';
import type { FastifyError, FastifyInstance, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { failureOf } from '../failure.ts';
import { sendNotFound, wantsPage } from '../not-found.ts';
import { accessLogPages } from './access-log/routes.ts';
import { archivePages } from './archive/routes.ts';
import { assetRoutes } from './assets.ts';
import { checkPages } from './checks/routes.ts';
import { mutePages } from './detections/mute-routes.ts';
import { detectionPages } from './detections/routes.ts';
import { newsRoute } from './entities/news-page.ts';
import { entityRoutes } from './entities/routes.ts';
import { bundleRoute } from './events/bundle-route.ts';
import { type ExplorerOptions, explorerRoutes } from './events/routes.ts';
import { proofRoutes } from './evidence/proof-routes.ts';
import { evidencePages } from './evidence/routes.ts';
import { holdPages } from './holds/routes.ts';
import { type Html, html } from './html.ts';
import type { OperationsSource } from './operations/operations-source.ts';
import { accountRoutes } from './overview/account.ts';
import { organizationRoutes } from './overview/organization.ts';
import { type OverviewOptions, overviewRoutes } from './overview/overview.ts';
import { type Frame, sendPage } from './page.ts';
import { viewRoutes } from './result/view-choice.ts';
import type { SavedOptions } from './saved/change-routes.ts';
import { savedRoutes } from './saved/routes.ts';
import { nextAddress } from './sign-in/next-address.ts';
import { sameOrigin } from './sign-in/same-origin.ts';
import { type ConsoleAccess, requireSession, signInRoutes } from './sign-in/sign-in.ts';
import { replayPages } from './sinks/replay-routes.ts';
import { sinkPages } from './sinks/routes.ts';
import { themeRoutes } from './theme.ts';
import { timesRoutes } from './times/choice.ts';
import { keepZone } from './times/zone.ts';
import { tokenPages } from './tokens/routes.ts';

export interface ConsoleOptions extends ConsoleAccess, OverviewOptions, ExplorerOptions, SavedOptions {
  readonly version: string;
  readonly logger: Logger;
  /** What the pages of operation show. */
  readonly operations: OperationsSource;
}

/**
 * The console: pages for people at `/`, made here on the server. What is added to `pages` is for those who have signed
 * in, has the headers of security, and is escaped by `html`. Called by the HTTP server.
 */
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
      archivePages(pages, frame, options.operations);
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
      proofRoutes(pages, options);
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

/** People get a page, and no word about how things are inside. */
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

/** What is not there, or was asked for in a wrong way, is so the next time, too. */
const wayBack = ({ url }: FastifyRequest): Html =>
  /^\/(?:events|searches)/.test(url)
    ? html`<a href="/events">Back to events</a>`
    : html`<a href="/">To the overview</a>`;
