import { commandOf, curlOf } from '../../../search/copies/shell-copies.ts';
import { sqlOf } from '../../../search/copies/sql-copy.sql.ts';
import type { Search } from '../../../search/search.ts';
import { type Html, html } from '../html.ts';

export interface CopyAsView {
  /** As it was written. */
  readonly search: Search;
  /** The same with the ids of organizations and accounts. */
  readonly withIds: Search;
  /** Of a page. */
  readonly limit: number;
  /** The address of this server, as the browser knows it. */
  readonly origin: string;
}

const DEFAULT_LIMIT = 50;

/** The search for a terminal and a database. The texts are there without a script; with one, a button copies each. */
export const copyAs = ({ search, withIds, limit, origin }: CopyAsView): Html => {
  const own = limit === DEFAULT_LIMIT ? undefined : limit;
  const texts = [
    ['curl', 'Put a token with the scope search into the variable TOKEN.', curlOf(search, origin, own)],
    ['SQL', 'For an account with the role orgtrail_reader.', sqlOf(withIds, limit)],
    ['Command', 'On a machine that has DATABASE_URL or the settings.', commandOf(search, own)],
  ] as const;
  return html`<details class="copy-as" id="copy-as"><summary>Copy as curl, SQL or command</summary>
<div class="stack">${texts.map(
    ([name, hint, text], n) =>
      html`<div><div class="row between"><h2>${name}</h2><button class="quiet-button" type="button" data-copy-text="copy-${n}" hidden>Copy<span class="unseen"> ${name}</span></button></div>
<p class="hint">${hint}</p><pre class="text" id="copy-${n}" tabindex="0" role="region" aria-label="The search as ${name}">${text}</pre></div>`,
  )}</div></details>`;
};

/** Only a host as hosts are: what a client claims is written into a command. */
export const originOf = (protocol: string, host: string): string =>
  /^(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?$/.test(host) ? `${protocol}://${host}` : 'http://localhost:8080';
