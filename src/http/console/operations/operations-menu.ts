import { type Html, html } from '../html.ts';

/** The entry of the menu that leads to the pages of operation. */
export const OPERATIONS_PATH = '/sinks';

const pages = [
  { href: '/sinks', name: 'Sinks' },
  { href: '/holds', name: 'Legal holds' },
] as const;

export type OperationsPath = (typeof pages)[number]['href'];

/** The pages of operation beside one another, above the heading of each. */
export const operationsMenu = (current: OperationsPath): Html =>
  html`<nav class="menu" aria-label="Operation"><ul>${pages.map(
    ({ href, name }) =>
      html`<li><a href="${href}"${current === href ? html` aria-current="page"` : null}>${name}</a></li>`,
  )}</ul></nav>`;

/** The head of such a page. */
export const operationsHead = (current: OperationsPath, title: string): Html =>
  html`${operationsMenu(current)}<div class="row between"><h1>${title}</h1><p class="muted live" data-connection-note role="status"></p></div>`;
