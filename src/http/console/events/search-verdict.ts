import { parseInstantMs } from '../../../base/time.ts';
import {
  type EmptyReport,
  type FilterReport,
  incompleteReasons,
  type NearValue,
  type SearchAnswer,
  type SearchCoverage,
} from '../../../search/answer.ts';
import { archivedMonthsSentence, droppedMonthsSentence } from '../../../search/archived-months.sql.ts';
import { printSearch, type Search, type SearchField } from '../../../search/query/search.ts';
import { printTerm } from '../../../search/query/terms.ts';
import { batchDeletionsOf } from '../../../search/run-search.ts';
import { NOT_COLLECTED } from '../../../status/health.ts';
import { linkOf } from '../event-links.ts';
import { type Html, html } from '../html.ts';
import { agoText, countOf, countText, instantOf } from '../words.ts';

const SHOWN_GAPS = 5;

/** The first thing to know about a result, in one line: whether what is missing may only not be collected. What it is made of unfolds. */
export const coverageOf = (coverage: SearchCoverage, search: Search, nowMs: number): Html => {
  const { organizations, accounts, incomplete, gaps, archivedMonths, droppedMonths } = coverage;
  const logs = organizations + accounts;
  if (logs === 0) {
    return html`<p class="coverage coverage-incomplete">${
      search.account !== undefined
        ? html`The log of this account is not collected: what is stored of it may be old.`
        : search.organization === undefined
          ? html`No organization is collected yet.`
          : html`This organization is not collected any more: what is stored of it may be old.`
    }</p>`;
  }
  const isArchiveLeftOut = archivedMonths.length > 0;
  const until = untilNote(coverage, nowMs);
  const part =
    incomplete === 1 && gaps[0] !== undefined
      ? logName(gaps[0])
      : `${countText(incomplete)} of ${countOf(logs, 'log')}`;
  const missing = [
    ...(isArchiveLeftOut ? ['without archived months'] : []),
    ...(droppedMonths.length > 0 ? ['without dropped months'] : []),
  ].map((words) => `, ${words}`);
  const isWhole = incomplete === 0 && droppedMonths.length === 0;
  return html`<details class="coverage ${isWhole ? 'coverage-complete' : 'coverage-incomplete'} drop" id="coverage" name="drop"><summary>${
    incomplete === 0
      ? html`${countText(logs)} of ${countOf(logs, 'log')} ${missing.length === 0 ? 'complete' : 'collected'}${until}`
      : html`<strong>${NOT_COLLECTED}: parts of ${part}</strong>${until && html`; all else${until}`}`
  }${missing}</summary>
<div class="pop"><p>${incomplete === 0 ? html`${logs === 1 ? 'The log is' : `All ${countOf(logs, 'log')} are`} collected${until}.` : html`Events of these times may be missing here.`}${onceNote(coverage)}${olderNote(coverage)}${archiveNote(coverage)}${droppedNote(coverage)}${coverage.filtered ? html` Only entries that meet ORGTRAIL_FILTERS are collected.` : null}</p>
<ul>${gaps
    .slice(0, SHOWN_GAPS)
    .map(
      (gap) =>
        html`<li><span>${logName(gap)}</span> <span class="mono">${instantOf(gap.since)} to ${instantOf(gap.before)}</span></li>`,
    )}${gaps.length > SHOWN_GAPS ? html`<li class="muted">…</li>` : null}</ul></div></details>`;
};

/** A green answer would hide them. */
export const batchNote = (search: Search, count: number | undefined): Html | null => {
  const batches = batchDeletionsOf(search);
  if (batches === undefined || count === 0) return null;
  return html`<p class="coverage coverage-incomplete">${
    count === undefined
      ? 'Batches that delete have another action, and are not here'
      : html`<strong>${countOf(count, 'batch', 'batches')} with another action also ${count === 1 ? 'deletes' : 'delete'}</strong>, and ${count === 1 ? 'is' : 'are'} not here`
  }: <a href="${linkOf(batches)}">show them</a></p>`;
};

const logName = ({
  accountId,
  accountName,
  organizationId,
  organizationName,
}: SearchCoverage['gaps'][number]): string => accountName ?? accountId ?? organizationName ?? organizationId ?? '';

const untilNote = ({ collectedUntil }: SearchCoverage, nowMs: number): Html | null => {
  if (collectedUntil === null) return null;
  const untilMs = parseInstantMs(collectedUntil) ?? nowMs;
  return html` up to ${instantOf(collectedUntil)} (${agoText((nowMs - untilMs) / 1_000)})`;
};

const onceNote = ({ readOnceSeconds }: SearchCoverage): Html | null =>
  readOnceSeconds === 0 ? null : html` Part of it was read once so far.`;

const olderNote = ({ beginsEarlier, collectedSince }: SearchCoverage): Html | null =>
  beginsEarlier && collectedSince !== null
    ? html` Nothing older than ${instantOf(collectedSince)} is collected.`
    : null;

const archiveNote = ({ archivedMonths }: SearchCoverage): Html | null =>
  archivedMonths.length === 0
    ? null
    : html` <strong>${archivedMonthsSentence(archivedMonths, false)}</strong> <a href="/archive">Archive</a>`;

const droppedNote = ({ droppedMonths }: SearchCoverage): Html | null =>
  droppedMonths.length === 0 ? null : html` <strong>${droppedMonthsSentence(droppedMonths)}</strong>`;

export const emptyState = ({ search, answer }: { readonly search: Search; readonly answer: SearchAnswer }): Html => {
  const { empty, incomplete } = answer;
  const reasons = incomplete.filter((reason) => reason !== 'value_never_occurs' && reason !== 'value_not_checked');
  return html`<div class="empty"><p><strong>No event matches.</strong></p>
${reasons.length === 0 ? null : html`<p class="muted">That may not be all: ${reasons.map((reason) => html` ${incompleteReasons[reason]}`)}</p>`}
${incomplete.length === 0 ? html`<p class="muted">All of the time searched is collected, and every value searched for occurs in stored events.</p>` : null}
${empty === undefined ? null : explanationOf(search, empty)}</div>`;
};

export const explanationOf = (search: Search, { anyInRange, filters }: EmptyReport): Html => {
  // That nothing is there at all says more than that a filter has nothing there.
  const telling = anyInRange === false ? filters.filter(({ occurs }) => occurs !== true) : filters;
  const together = filters.length > 1 && filters.every(({ occursInRange }) => occursInRange === true);
  return html`<ul class="why-empty">
${anyInRange === false ? html`<li>No event of any kind is stored of the time and organization searched.</li>` : null}
${telling.flatMap((filter) => filterLine(search, filter) ?? [])}
${together ? html`<li>Each of these filters alone has events; no event meets all of them.</li>` : null}</ul>`;
};

const names: Partial<Record<SearchField, string>> = {
  resource: 'resource id',
  resource_type: 'resource type',
  ray: 'ray id',
};

const filterLine = (search: Search, filter: FilterReport): Html | undefined => {
  const { field, value, occurs, occursInRange, near } = filter;
  const subject =
    field === 'q' ? html`<strong>${value}</strong>` : html`<strong>${names[field] ?? field} “${value}”</strong>`;
  const hint =
    near.length === 0
      ? null
      : html` Near: ${near.map((one, n) => html`${n === 0 ? '' : ', '}${nearLink(search, filter, one)}`)}.`;
  if (occurs === false) return html`<li>No event that is in PostgreSQL has ${subject}, of any time.${hint}</li>`;
  if (occurs === null) return html`<li>Whether any event has ${subject} could not be looked up in time.${hint}</li>`;
  if (occursInRange === false) {
    return html`<li>${subject} alone has no event in the time and organization searched, but has some elsewhere.</li>`;
  }
  return undefined;
};

/** `wrong` is replaced: a value, or one term of a query line. */
const nearLink = (
  search: Search,
  { field, value: wrong }: FilterReport,
  { value, events, atLeast }: NearValue,
): Html => {
  const parameters = printSearch(search);
  const line = search.terms?.map((term) => (printTerm(term) === wrong ? value : printTerm(term))).join(' ');
  parameters.set(field, field === 'q' && line !== undefined ? line : value);
  return html`<a href="/events?${parameters.toString()}">${value}</a> <span class="muted">(${atLeast ? 'at least ' : ''}${countText(events)})</span>`;
};
