import { keyOf } from '../../../ingest/planning/source.ts';
import { DELAY, NOT_COLLECTED } from '../../../status/collection-words.ts';
import { laneTroubleText } from '../../../status/health.ts';
import type { Activity } from '../../../status/overview/overview.ts';
import type { AccountWithState } from '../../../status/sources/source-owner.ts';
import { type Html, html } from '../html.ts';
import { agoOf, countOf, countText, spanText } from '../words.ts';
import { type Paces, progressText, shownState, stateMark } from './first-reading.ts';
import { byTrouble } from './organizations.ts';

/** Of one organization there are 500 at most; in trouble may be all there are. */
const MAX_ACCOUNTS = 500;

export const accountName = ({ accountName: name, accountId }: AccountWithState): string => name ?? accountId;

const accountHref = (accountId: string): string => `/accounts/${encodeURIComponent(accountId)}`;

/** What stands beside the status of each. */
export interface AccountFigures {
  readonly activity: Activity;
  /** Of those that are read for the first time. */
  readonly paces: Paces;
  readonly nowMs: number;
}

/** The accounts of an organization, or those that need attention: trouble first. `all`: of how many these are the most urgent. Null without any. */
export const accountsPanel = (
  accounts: readonly AccountWithState[],
  { activity, paces, nowMs }: AccountFigures,
  { title = 'Accounts', all = accounts.length }: { readonly title?: string; readonly all?: number } = {},
): Html | null => {
  if (accounts.length === 0) return null;
  const rows = accounts.toSorted(byTrouble).slice(0, MAX_ACCOUNTS);
  return html`<section class="panel" aria-labelledby="accounts"><h2 id="accounts">${title}</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of accounts"><table>
${all > rows.length ? html`<caption>${countText(rows.length)} of ${countOf(all, 'account')}</caption>` : null}
<thead><tr><th scope="col">Account</th><th scope="col">State</th><th scope="col" class="number">${DELAY}</th><th scope="col" class="number">${NOT_COLLECTED}</th>
<th scope="col" class="number optional">Events, 48 h</th><th scope="col" class="number optional">Last success</th></tr></thead>
<tbody>${rows.map((account) => row(account, { activity, paces, nowMs }))}</tbody></table></div></section>`;
};

const row = (account: AccountWithState, { activity, paces, nowMs }: AccountFigures): Html =>
  html`<tr><th scope="row"><a href="${accountHref(account.accountId)}">${accountName(account)}</a>
<p class="sub mono">${account.accountId}</p>
${account.failingLanes.map((trouble) => html`<p class="error-text">${laneTroubleText(trouble)}</p>`)}
${account.holes === 0 ? null : html`<p class="error-text">${countOf(account.holes, 'hole')}: time that could not be collected</p>`}</th>
<td>${stateMark(shownState(account))}${account.firstReading ? html`<p class="sub">${progressText(account, paces)}</p>` : null}</td><td class="number">${spanText(account.lagSeconds)}</td><td class="number">${spanText(account.gapSeconds)}</td>
<td class="number optional">${countText(activity.bySource.get(keyOf(account)) ?? 0)}</td><td class="number optional">${agoOf(account.lastSuccessAt, nowMs)}</td></tr>`;
