import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Html, html } from './html.ts';
import { offsetText, pageZone, TIMES_COOKIE, UTC, zoneOf } from './words.ts';

const menu = [
  { href: '/', name: 'Overview' },
  { href: '/events', name: 'Events' },
  { href: '/detections', name: 'Detections' },
  { href: '/evidence-log', name: 'Evidence' },
  { href: '/sinks', name: 'Operation' },
] as const;

export interface Frame {
  readonly version: string;
}

interface Page {
  readonly title: string;
  readonly current?: string;
  /** In `<main>`, with the page's one `<h1>`. */
  readonly body: Html;
  /** It has a place `#result`, with a skip link. */
  readonly hasResult?: boolean;
  /** Fetches the page again and takes over changes, without losing scroll or focus. */
  readonly refreshSeconds?: number;
}

const themes = ['auto', 'light', 'dark'] as const;
type Theme = (typeof themes)[number];
const THEME_COOKIE = 'orgtrail_theme';

/** The status code is what the caller has set. */
export const sendPage = (request: FastifyRequest, reply: FastifyReply, frame: Frame, page: Page): FastifyReply =>
  reply
    .header('content-type', 'text/html; charset=utf-8')
    .header('cache-control', 'no-store')
    .send(`<!doctype html>\n${pageDocument(request, frame, page)}`);

const pageDocument = (request: FastifyRequest, frame: Frame, page: Page): Html => {
  const theme = themes.find((name) => name === request.cookies[THEME_COOKIE]) ?? 'auto';
  // A visitor who has not signed in sees no menu and no sign-out.
  const { identity } = request;
  return html`<html lang="en" data-theme="${theme}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${page.title} · orgtrail</title>
<link rel="icon" href="/console/assets/mark.svg" type="image/svg+xml">
<link rel="stylesheet" href="/console/assets/console.css">
<link rel="stylesheet" href="/console/assets/explorer.css">
<link rel="stylesheet" href="/console/assets/overview.css">
<link rel="stylesheet" href="/console/assets/summary.css">
<link rel="stylesheet" href="/console/assets/result.css">
<link rel="stylesheet" href="/console/assets/working.css">
<script type="module" src="/console/assets/console.js"></script>
<script type="module" src="/console/assets/explorer.js"></script>
<script type="module" src="/console/assets/summary.js"></script>
<script type="module" src="/console/assets/side-panel.js"></script>
<script type="module" src="/console/assets/live-tail.js"></script>
<script type="module" src="/console/assets/keep-searching.js"></script>
</head>
<body${refreshAttribute(page)}>
<a class="skip" href="#main">Skip to the content</a>
${page.hasResult === true ? html`<a class="skip" href="#result">Skip to the result</a>` : null}
<header class="top"><div class="top-in">
<a class="brand" href="/"><img src="/console/assets/mark.svg" alt="" width="22" height="22">orgtrail</a>
${identity === undefined ? null : menuOf(page)}
<div class="tools">${timesSwitch(request)}${themeSwitch(request, theme)}${identity?.session === true ? signOut : null}</div>
</div></header>
<main id="main" tabindex="-1">
${page.body}
</main>
<footer class="foot"><p>orgtrail ${frame.version} · ${timesNote(Date.now())}</p>${page.refreshSeconds === undefined ? null : refreshSwitch}${identity === undefined ? null : keysButton}</footer>
${identity === undefined ? null : keysList}
</body>
</html>`;
};

const refreshAttribute = ({ refreshSeconds }: Page): Html | null =>
  refreshSeconds === undefined ? null : html` data-refresh-seconds="${refreshSeconds}"`;

const menuOf = (page: Page): Html =>
  html`<nav class="menu" aria-label="Pages"><ul>${menu.map(
    ({ href, name }) =>
      html`<li><a href="${href}"${page.current === href ? html` aria-current="page"` : null}>${name}</a></li>`,
  )}</ul></nav>`;

/** Sent by a form, remembered in a cookie: the right colours are there from the first paint on, and without a script. */
const themeSwitch = (
  request: FastifyRequest,
  theme: Theme,
): Html => html`<form class="theme" method="post" action="/console/theme">
<input type="hidden" name="next" value="${request.method === 'GET' ? request.url : '/'}">
<fieldset><legend class="unseen">Colours</legend>${themes.map(
  (name) =>
    html`<button type="submit" name="theme" value="${name}" aria-pressed="${name === theme ? 'true' : 'false'}">${name}</button>`,
)}</fieldset></form>`;

const refreshSwitch = html`<button class="quiet-button" type="button" data-refresh-switch aria-pressed="false" hidden>Pause refreshing</button>`;

const signOut = html`<form method="post" action="/console/sign-out"><button class="quiet-button" type="submit">Sign out</button></form>`;

/** The scripts of the console implement these. */
const keys: readonly (readonly [keys: readonly string[], does: string])[] = [
  [['/'], 'go to the text of the search, or to the filter of organizations'],
  [['Ctrl+K', '⌘K'], 'the same, also while you write'],
  [['j', 'k'], 'events: next row, row before; the event beside the list goes with it'],
  [['↓', '↑'], 'the same, once the focus is in the list'],
  [['Enter'], 'open the event of the row; again: go into the event beside the list'],
  [['Esc'], 'close the event beside the list, or this list'],
  [['l'], 'start or pause the live list of a search'],
  [['?'], 'show this list, on every page'],
];

/** Opened by the script alone: without it there are no keys but those of the browser. */
const keysList: Html = html`<dialog id="keys" class="keys-list" aria-labelledby="keys-title">
<h2 id="keys-title">Keys</h2>
<dl>${keys.map(
  ([names, does]) => html`<div><dt>${names.map((name) => html`<kbd>${name}</kbd> `)}</dt><dd>${does}</dd></div>`,
)}</dl>
<form method="dialog"><button class="quiet-button" type="submit">Close</button></form>
</dialog>`;

const keysButton: Html = html`<button class="quiet-button" type="button" data-keys aria-haspopup="dialog" hidden>Keys <kbd>?</kbd></button>`;

interface PageBeside {
  readonly href: string;
  readonly name: string;
  readonly isCurrent: boolean;
  readonly title?: string;
}

/** Above the heading of each page of one menu entry. */
export const pagesBeside = (label: string, pages: readonly PageBeside[]): Html =>
  html`<nav class="menu beside" aria-label="${label}"><ul>${pages.map(
    ({ href, name, isCurrent, title }) =>
      html`<li><a href="${href}"${isCurrent ? html` aria-current="page"` : null}${title === undefined ? null : html` title="${title}"`}>${name}</a></li>`,
  )}</ul></nav>`;

export const A_YEAR_SECONDS = 31_536_000;

export const cookieOf = (request: FastifyRequest, path = '/') =>
  ({ path, httpOnly: true, sameSite: 'strict', secure: request.protocol === 'https' }) as const;

export const themeRoutes = (console: FastifyInstance): void => {
  console.post<{ Body: { theme?: unknown; next?: unknown } | undefined }>(
    '/console/theme',
    { schema: hidden },
    (request, reply) => {
      const theme = themes.find((name) => name === request.body?.theme) ?? 'auto';
      return reply
        .setCookie(THEME_COOKIE, theme, { ...cookieOf(request), maxAge: A_YEAR_SECONDS })
        .redirect(nextAddress(request.body?.next), 303);
    },
  );
};

export const timesRoutes = (console: FastifyInstance): void => {
  console.post<{ Body: { times?: unknown; next?: unknown } | undefined }>(
    '/console/times',
    { schema: hidden },
    (request, reply) =>
      reply
        .setCookie(TIMES_COOKIE, zoneOf(request.body?.times) ?? UTC, { ...cookieOf(request), maxAge: A_YEAR_SECONDS })
        .redirect(nextAddress(request.body?.next), 303),
  );
};

/** Only a script knows the zone of the browser: without one there is UTC, and the zone that was chosen before. */
const timesSwitch = (request: FastifyRequest): Html => {
  const zone = pageZone();
  const pressed = (isOn: boolean): Html => html` aria-pressed="${isOn ? 'true' : 'false'}"`;
  return html`<form class="theme" method="post" action="/console/times">
<input type="hidden" name="next" value="${request.method === 'GET' ? request.url : '/'}">
<fieldset><legend class="unseen">Times</legend><button type="submit" name="times" value="${UTC}"${pressed(zone === UTC)}>UTC</button><button type="submit" name="times" value="${zone === UTC ? '' : zone}" data-local-zone${pressed(zone !== UTC)}${zone === UTC ? html` hidden` : null}>local</button></fieldset></form>`;
};

const timesNote = (nowMs: number): Html => {
  const zone = pageZone();
  if (zone === UTC) return html`all times are UTC<noscript>; local times need a script</noscript>`;
  return html`all times are those of ${zone} (now UTC${offsetText(zone, nowMs)}); times that you write are UTC`;
};

/** A path of this server, or `/`; never an address of another, however written (`//host`, `/\host`, a scheme, dropped control characters). */
export const nextAddress = (wanted: unknown): string => {
  if (typeof wanted !== 'string' || !/^\/[\x21-\x7e]*$/.test(wanted) || /^\/[/\\]/.test(wanted)) return '/';
  const base = 'http://console.invalid';
  if (!URL.canParse(wanted, base)) return '/';
  const url = new URL(wanted, base);
  if (url.origin !== base || url.pathname.startsWith('//') || url.pathname.startsWith('/console/')) return '/';
  return `${url.pathname}${url.search}`;
};

/** Undefined for what is no number of a row. */
export const rowNumberOf = (text: unknown): number | undefined =>
  typeof text === 'string' && /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined;

/** Pages are no part of the API's description. */
export const hidden = { hide: true };
