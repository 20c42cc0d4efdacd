import { type Html, html } from './html.ts';

interface PageBeside {
  readonly href: string;
  readonly name: string;
  readonly isCurrent: boolean;
  readonly title?: string;
}

/** The pages that one entry of the menu leads to, above the heading of each. */
export const pagesBeside = (label: string, pages: readonly PageBeside[]): Html =>
  html`<nav class="menu beside" aria-label="${label}"><ul>${pages.map(
    ({ href, name, isCurrent, title }) =>
      html`<li><a href="${href}"${isCurrent ? html` aria-current="page"` : null}${title === undefined ? null : html` title="${title}"`}>${name}</a></li>`,
  )}</ul></nav>`;
