import { type Html, html } from '../html.ts';
import { pagesBeside } from '../pages-beside.ts';

/** The entry of the menu that leads to the pages of operation. */
export const OPERATIONS_PATH = '/sinks';

const pages = [
  { href: '/sinks', name: 'Sinks' },
  { href: '/holds', name: 'Legal holds' },
  { href: '/archive', name: 'Archive' },
  { href: '/access-tokens', name: 'Tokens' },
  { href: '/access-log', name: 'Access log' },
  { href: '/checks', name: 'Checks' },
] as const;

export type OperationsPath = (typeof pages)[number]['href'];

/** The pages of operation beside one another, above the heading of each. */
export const operationsMenu = (current: OperationsPath): Html =>
  pagesBeside(
    'Operation',
    pages.map(({ href, name }) => ({ href, name, isCurrent: current === href })),
  );

/** The head of such a page. */
export const operationsHead = (current: OperationsPath, title: string): Html =>
  html`${operationsMenu(current)}<div class="row between"><h1>${title}</h1><p class="muted live" data-connection-note role="status"></p></div>`;
