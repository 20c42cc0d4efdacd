import fastifyCookie from '@fastify/cookie';
import fastifyFormbody from '@fastify/formbody';
import fastifyHelmet from '@fastify/helmet';
import fastifyRateLimit from '@fastify/rate-limit';
import type { FastifyError, FastifyInstance } from 'fastify';
import { tokenOf } from '../require-token.ts';
import type { SearchSource } from '../search.ts';
import { assetRoutes } from './assets.ts';
import { explorerRoutes } from './explorer.ts';
import { html } from './html.ts';
import { nextAddress } from './next-address.ts';
import { organizationRoutes } from './organization.ts';
import { type OverviewOptions, overviewRoutes } from './overview.ts';
import { type Frame, sendPage } from './page.ts';
import { sameOrigin } from './same-origin.ts';
import { type ConsoleAccess, requireSession, signInRoutes } from './sign-in.ts';
import { themeRoutes } from './theme.ts';

export interface ConsoleOptions extends ConsoleAccess, OverviewOptions {
  readonly version: string;
  readonly search: SearchSource;
}

/**
 * The console: pages for people at `/`, made here on the server. What is added to `pages` is for those who have signed
 * in, has the headers of security, and is escaped by `html`. Called by the HTTP server.
 */
export const consoleRoutes = async (server: FastifyInstance, options: ConsoleOptions): Promise<void> => {
  const frame: Frame = { version: options.version, signsIn: tokenOf(options.feedToken) !== undefined };
  await server.register(async (console) => {
    await console.register(fastifyCookie);
    await console.register(fastifyFormbody, { bodyLimit: 16_384 });
    await console.register(fastifyHelmet, securityHeaders);
    await console.register(fastifyRateLimit, { global: false });
    console.addHook('onRequest', sameOrigin);
    showErrors(console, frame);
    await assetRoutes(console);
    themeRoutes(console);
    signInRoutes(console, frame, options);
    await console.register(async (pages) => {
      pages.addHook('onRequest', requireSession(frame, options));
      overviewRoutes(pages, frame, options);
      organizationRoutes(pages, frame, options);
      explorerRoutes(pages, frame, options.search);
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
  // Whether a host is reached by https only is for whoever terminates TLS to say.
  strictTransportSecurity: false,
};

/** People get a page, and no word about how things are inside. */
const showErrors = (console: FastifyInstance, frame: Frame): void => {
  console.setErrorHandler((error: FastifyError, request, reply) => {
    const code = error.statusCode ?? 503;
    const mistake = code >= 400 && code < 500;
    const title = mistake ? 'This cannot be shown' : 'Not now';
    const reason = mistake
      ? error.message
      : 'The database does not answer. Syncing goes on by itself as soon as it does.';
    const body = html`<section class="message"><h1>${title}</h1><p>${reason}</p><p><a href="${nextAddress(request.url)}">Try again</a></p></section>`;
    return sendPage(request, reply.code(mistake ? code : 503), frame, { title, body });
  });
};
