import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Html, html } from './html.ts';
import { keysButton, keysList } from './keys-list.ts';
import { timesNote, timesSwitch } from './times/choice.ts';

/** The pages that the menu names. */
const menu = [
  { href: '/', name: 'Overview' },
  { href: '/events', name: 'Events' },
  { href: '/detections', name: 'Detections' },
  { href: '/evidence-log', name: 'Evidence' },
  { href: '/sinks', name: 'Operation' },
] as const;

/** What all pages of a console share. Made once by `consoleRoutes`. */
export interface Frame {
  readonly version: string;
}

export interface Page {
  /** Of the browser's tab and, by the page itself, of its heading. */
  readonly title: string;
  /** The entry of the menu that it belongs to, by its address. */
  readonly current?: string;
  /** What stands in `<main>`; it has the page's one `<h1>`. */
  readonly body: Html;
  /** It has a place `#result`, which a link before all else leads to. */
  readonly hasResult?: boolean;
  /** Fetches the page again so often and takes over what has changed, without losing scroll or focus. */
  readonly refreshSeconds?: number;
}

export const themes = ['auto', 'light', 'dark'] as const;
type Theme = (typeof themes)[number];
export const THEME_COOKIE = 'orgtrail_theme';

/** Sends a page with the frame around it. The status code is what the caller has set. */
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

/** Pages that change by themselves can be stopped. Without a script they do not change. */
const refreshSwitch = html`<button class="quiet-button" type="button" data-refresh-switch aria-pressed="false" hidden>Pause refreshing</button>`;

const signOut = html`<form method="post" action="/console/sign-out"><button class="quiet-button" type="submit">Sign out</button></form>`;
