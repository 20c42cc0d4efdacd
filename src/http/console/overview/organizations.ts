import { keyOf } from '../../../ingest/planning/source.ts';
import { DELAY, NOT_COLLECTED } from '../../../status/health.ts';
import type { Activity, SourceCoverage } from '../../../status/overview.sql.ts';
import {
  type AccountWithState,
  type OrganizationWithState,
  ownerName,
  type SourceWithState,
} from '../../../status/source-state.ts';
import { type Html, html } from '../html.ts';
import {
  isLosing,
  ownTroubles,
  type Paces,
  progressText,
  type ShownState,
  shownState,
  shownStates,
  stateMark,
  stateName,
} from '../source-states.ts';
import { agoOf, countOf, countText, spanText } from '../words.ts';
import { coverageCell, type Tail } from './timeline.ts';

const PAGE_SIZE = 50;

type OrganizationFilter = ReturnType<typeof readFilter>;

export const readFilter = (query: Readonly<Record<string, unknown>>) => {
  const text = (name: string): string => (typeof query[name] === 'string' ? query[name].trim() : '');
  const page = /^[1-9]\d{0,5}$/.test(text('page')) ? Number(text('page')) : 1;
  return { text: text('q').slice(0, 200), state: shownStates.find((state) => state === text('state')), page };
};

export const selectOrganizations = (sources: readonly OrganizationWithState[], filter: OrganizationFilter) => {
  const wanted = filter.text.toLowerCase();
  const matching = sources.filter(
    (source) =>
      (filter.state === undefined || shownState(source) === filter.state) &&
      (wanted === '' || `${source.organizationName ?? ''}\n${source.organizationId}`.toLowerCase().includes(wanted)),
  );
  const sorted = matching.toSorted(byTrouble);
  const pages = Math.max(1, Math.ceil(sorted.length / PAGE_SIZE));
  const page = Math.min(filter.page, pages);
  return { rows: sorted.slice((page - 1) * PAGE_SIZE, page * PAGE_SIZE), matching: matching.length, page, pages };
};

const urgency: readonly ShownState[] = ['failing', 'refused', 'incomplete', 'behind', 'reading', 'fresh', 'quiet'];

const byTrouble = (a: SourceWithState, b: SourceWithState): number =>
  Number(isLosing(b)) - Number(isLosing(a)) ||
  urgency.indexOf(shownState(a)) - urgency.indexOf(shownState(b)) ||
  (a.state === 'fresh' || a.state === 'quiet' ? 0 : b.gapSeconds - a.gapSeconds) ||
  (ownerName(a) ?? '').localeCompare(ownerName(b) ?? '', 'en') ||
  (a.id < b.id ? -1 : 1);

export const nameOf = (source: { readonly organizationName: string | null; readonly organizationId: string }): string =>
  source.organizationName ?? source.organizationId;

export const organizationHref = (organizationId: string): string =>
  `/organizations/${encodeURIComponent(organizationId)}`;

interface OrganizationsView {
  readonly all: readonly OrganizationWithState[];
  readonly filter: OrganizationFilter;
  readonly selected: ReturnType<typeof selectOrganizations>;
  readonly coverage: ReadonlyMap<string, SourceCoverage>;
  readonly activity: Activity;
  /** Of those that are read for the first time. */
  readonly paces: Paces;
  readonly tail: Tail;
  readonly passes: number;
  readonly nowMs: number;
}

export const organizationsPanel = (
  view: OrganizationsView,
): Html => html`<section class="panel" aria-labelledby="organizations">
<div class="row between head"><h2 id="organizations">Organizations</h2>${filterForm(view)}</div>
${view.all.length === 0 ? html`<p class="muted">Organizations have not been listed yet.</p>` : table(view)}
${pager(view)}
</section>`;

const filterForm = (
  view: OrganizationsView,
): Html => html`<form class="row filter" method="get" action="/" role="search" data-keep>
<label class="unseen" for="q">Name or id</label>
<input id="q" name="q" type="search" value="${view.filter.text}" placeholder="Name or id" data-search>
<label class="unseen" for="state">State</label>
<select id="state" name="state"><option value="">All states</option>${shownStates.map(
  (state) =>
    html`<option value="${state}"${view.filter.state === state ? html` selected` : null}>${stateName(state)} (${view.all.filter((source) => shownState(source) === state).length})</option>`,
)}</select>
<button class="button" type="submit">Filter</button>
</form>`;

const table = (view: OrganizationsView): Html => {
  const troubles = ownTroubles(view.selected.rows);
  if (view.selected.matching === 0) return html`<p class="muted">No organizations match. <a href="/">Show all</a></p>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Table of organizations"><table class="organizations">
<thead><tr><th scope="col">Organization</th><th scope="col">State</th><th scope="col" class="wide">Collected</th>
<th scope="col" class="number">${DELAY}</th><th scope="col" class="number">${NOT_COLLECTED}</th><th scope="col" class="number optional">Events, 48 h</th>
<th scope="col" class="number optional">Last success</th><th scope="col" class="number optional">Until Cloudflare deletes it</th></tr></thead>
<tbody>${view.selected.rows.map((source) => organizationRow(source, troubles, view))}</tbody></table></div>`;
};

type OwnTroubles = ReturnType<typeof ownTroubles>;

const organizationRow = (source: OrganizationWithState, troubles: OwnTroubles, view: OrganizationsView): Html => {
  const coverage = view.coverage.get(source.organizationId);
  const { nowMs, passes, paces } = view;
  const tail = { ...view.tail, readsHistory: source.firstReading };
  return html`<tr id="o-${source.organizationId}"><th scope="row"><a href="${organizationHref(source.organizationId)}">${nameOf(source)}</a>
${troubles(source).map((text) => html`<p class="error-text">${text}</p>`)}
${source.holes === 0 ? null : html`<p class="error-text">${countOf(source.holes, 'hole')}: time that could not be collected</p>`}</th>
<td>${stateMark(shownState(source))}</td><td class="wide">${coverage && coverageCell(coverage, tail, passes)}${source.firstReading ? html`<p class="sub">${progressText(source, paces)}</p>` : null}</td>
<td class="number">${spanText(source.lagSeconds)}</td><td class="number">${spanText(source.gapSeconds)}</td>
<td class="number optional">${countText(view.activity.bySource.get(keyOf(source)) ?? 0)}</td>
<td class="number optional">${agoOf(source.lastSuccessAt, nowMs)}</td>
<td class="number optional">${slackText(source)}</td></tr>`;
};

/** Until Cloudflare deletes the oldest uncollected time. */
export const slackText = (source: SourceWithState): Html =>
  isLosing(source)
    ? html`<strong class="loss">lost in ${spanText(source.retentionSlackSeconds)}</strong>`
    : html`${spanText(source.retentionSlackSeconds)}`;

const pager = ({ selected, filter }: OrganizationsView): Html | null => {
  const { page, pages, matching } = selected;
  if (pages === 1) return null;
  const href = (to: number): string => {
    const query = new URLSearchParams({ q: filter.text, state: filter.state ?? '', page: String(to) });
    return `/?${query}#organizations`;
  };
  return html`<nav class="row pager" aria-label="Pages of organizations">
${page > 1 ? html`<a class="button" rel="prev" href="${href(page - 1)}">Previous</a>` : null}
<span class="muted">Page ${page} of ${pages}, ${countOf(matching, 'organization')}</span>
${page < pages ? html`<a class="button" rel="next" href="${href(page + 1)}">Next</a>` : null}</nav>`;
};

/** An organization has at most 500 accounts; in trouble may be all there are. */
const MAX_ACCOUNTS = 500;

export const accountName = ({ accountName: name, accountId }: AccountWithState): string => name ?? accountId;

const accountHref = (accountId: string): string => `/accounts/${encodeURIComponent(accountId)}`;

interface AccountFigures {
  readonly activity: Activity;
  /** Of those that are read for the first time. */
  readonly paces: Paces;
  readonly nowMs: number;
}

/** Trouble first. `all`: of how many these are the most urgent. Null without any. */
export const accountsPanel = (
  accounts: readonly AccountWithState[],
  { activity, paces, nowMs }: AccountFigures,
  { title = 'Accounts', all = accounts.length }: { readonly title?: string; readonly all?: number } = {},
): Html | null => {
  if (accounts.length === 0) return null;
  const rows = accounts.toSorted(byTrouble).slice(0, MAX_ACCOUNTS);
  const troubles = ownTroubles(rows);
  return html`<section class="panel" aria-labelledby="accounts"><h2 id="accounts">${title}</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of accounts"><table>
${all > rows.length ? html`<caption>${countText(rows.length)} of ${countOf(all, 'account')}</caption>` : null}
<thead><tr><th scope="col">Account</th><th scope="col">State</th><th scope="col" class="number">${DELAY}</th><th scope="col" class="number">${NOT_COLLECTED}</th>
<th scope="col" class="number optional">Events, 48 h</th><th scope="col" class="number optional">Last success</th></tr></thead>
<tbody>${rows.map((account) => accountRow(account, troubles, { activity, paces, nowMs }))}</tbody></table></div></section>`;
};

const accountRow = (
  account: AccountWithState,
  troubles: OwnTroubles,
  { activity, paces, nowMs }: AccountFigures,
): Html =>
  html`<tr><th scope="row"><a href="${accountHref(account.accountId)}">${accountName(account)}</a>
<p class="sub mono">${account.accountId}</p>
${troubles(account).map((text) => html`<p class="error-text">${text}</p>`)}
${account.holes === 0 ? null : html`<p class="error-text">${countOf(account.holes, 'hole')}: time that could not be collected</p>`}</th>
<td>${stateMark(shownState(account))}${account.firstReading ? html`<p class="sub">${progressText(account, paces)}</p>` : null}</td><td class="number">${spanText(account.lagSeconds)}</td><td class="number">${spanText(account.gapSeconds)}</td>
<td class="number optional">${countText(activity.bySource.get(keyOf(account)) ?? 0)}</td><td class="number optional">${agoOf(account.lastSuccessAt, nowMs)}</td></tr>`;
