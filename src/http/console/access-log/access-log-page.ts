import type { AccessPage } from '../../../access/access-log-page.sql.ts';
import { type Html, html } from '../html.ts';
import { commandBlock } from '../operations/commands.ts';
import { operationsHead } from '../operations/operations-menu.ts';
import {
  ACCESS_LOG_PATH,
  type AccessLogView,
  accessKinds,
  accessLogHref,
  type GivenAccess,
} from './access-log-view.ts';
import { accessRows } from './access-rows.ts';

/** The trail of access, as much of it as the session may see. */
export const accessLogBody = (view: AccessLogView): Html => html`<div class="stack">
${operationsHead(ACCESS_LOG_PATH, 'Access log')}
${view.page?.shown === 'none' ? closedPanel(view, view.page) : html`${form(view.given)}${faultsOf(view)}${view.page === undefined ? null : listPanel(view.given, view.page)}`}
</div>`;

const faultsOf = ({ faults, failure }: AccessLogView): Html | null => {
  const all = failure === undefined ? faults : [...faults, failure];
  return all.length === 0 ? null : html`<p class="fault" role="alert">${all.join('; ')}.</p>`;
};

const form = (
  given: GivenAccess,
): Html => html`<form class="search panel" method="get" action="${ACCESS_LOG_PATH}" role="search" aria-label="Access log">
<div class="search-more">
${field(given.since, 'since', 'Since', '24h, 7d, 2026-01-31')}
${field(given.before, 'before', 'Before', 'now')}
${field(given.who, 'who', 'Who', 'name of a token, whole')}
<div class="field"><label for="kind">Action</label><select id="kind" name="kind"><option value="">all</option>${accessKinds.map(
  (kind) => html`<option value="${kind}"${kind === given.kind ? html` selected` : null}>${kind}</option>`,
)}</select></div>
</div>
<div class="row"><button class="primary" type="submit">Show</button><a class="button" href="${ACCESS_LOG_PATH}">Clear</a>
<p class="quick-times"><span class="muted">Last</span>${(['24h', '7d', '31d', '400d'] as const).map((since) => html` <a href="${accessLogHref(given, { since, before: '' })}">${since}</a>`)}</p></div></form>`;

const field = (value: string, name: string, label: string, placeholder: string): Html =>
  html`<div class="field"><label for="${name}">${label}</label><input id="${name}" name="${name}" value="${value}" placeholder="${placeholder}" autocomplete="off" spellcheck="false"></div>`;

const listPanel = (
  given: GivenAccess,
  page: AccessPage,
): Html => html`<section class="panel" aria-labelledby="rows"><h2 id="rows">${page.shown === 'own' ? 'What your token was used for' : 'What was searched, opened, exported and refused'}</h2>
<p class="hint">${page.shown === 'own' ? html`Only rows of your token, from when it was made; a token that is made with <code>--access-log</code> sees all. ` : null}What repeats within an hour is one row at its end, with the sums. Rows are kept for 400 days; a row may come some seconds after its request.</p>
${page.rows.length === 0 ? html`<p class="empty">No row matches.</p>` : accessRows(page.rows)}
${pager(given, page)}</section>`;

const pager = (given: GivenAccess, { next }: AccessPage): Html | null =>
  given.from === undefined && next === undefined
    ? null
    : html`<nav class="row pager" aria-label="Pages of the access log">
${given.from === undefined ? null : html`<a class="button" rel="prev" href="${accessLogHref(given, {})}">Newest</a>`}
${next === undefined ? null : html`<a class="button" rel="next" href="${accessLogHref(given, { from: next })}">Older</a>`}</nav>`;

const closedPanel = (
  { who }: AccessLogView,
  { canProve }: AccessPage,
): Html => html`<section class="panel" aria-labelledby="closed"><h2 id="closed">Not shown to this session</h2><div class="stack">
<p>The trail says what others look for, so the database account of the daemon may not read it: an attacker who has its password would see all of it. The database shows it to sessions that began with a token that can prove itself.</p>
${reasonOf(who, canProve)}
${commandBlock('command-create', 'the command that makes a token for the whole access log', 'orgtrail token create NAME --scope search --access-log')}
<p class="muted">Without <code>--access-log</code> a token sees its own rows alone. Every account with the role <code>orgtrail_reader</code> reads the table <code>access_log</code> in SQL; if the account of the daemon has it, this page shows all to <code>ORGTRAIL_FEED_TOKEN</code> and to local requests as well (docs/access.md).</p></div></section>`;

const reasonOf = (who: string | undefined, canProve: boolean): Html => {
  if (canProve) return html`<p>Your session began before it could be proven. Sign out, and sign in again.</p>`;
  const proves =
    who === undefined
      ? 'You have not signed in with a token'
      : who === 'ORGTRAIL_FEED_TOKEN'
        ? 'The database does not know ORGTRAIL_FEED_TOKEN'
        : `The token ${who} was made by an earlier version`;
  return html`<p>${proves}. Sign in with a token that is made like this:</p>`;
};
