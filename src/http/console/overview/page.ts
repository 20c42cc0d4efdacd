import type { SinkStatus } from '../../../sinks/sink-status.sql.ts';
import type { Cause } from '../../../status/causes.ts';
import { NOT_COLLECTED, type SourceHealth } from '../../../status/health.ts';
import type { ApiBudgetFigures, OrganizationChange, ProcessFigures } from '../../../status/overview.sql.ts';
import {
  countedOwners,
  countsOf,
  mostGapSeconds,
  type SourceCounts,
  type SourceGroup,
  type StatusWithStates,
  sinkState,
  sumOf,
  worst,
} from '../../../status/source-state.ts';
import { type Html, html } from '../html.ts';
import { sinkHref } from '../sinks.routes.ts';
import { shownCounts, shownStates, stateMark, stateName } from '../source-states.ts';
import { agoOf, agoText, countOf, countText, spanText, timeOf } from '../words.ts';
import { nameOf, organizationHref } from './organizations.ts';

export const stateLine = (
  status: StatusWithStates,
  sinks: readonly SinkStatus[],
  causes: readonly Cause[],
  reading: Html | null,
): Html => {
  const named = causes.filter(({ cause, state }) => state !== 'ok' || notes.includes(cause));
  const isWrong = named.some(({ state }) => state !== 'ok');
  const counts = stateCounted(status, sinks);
  if (named.length === 0 && counts.length === 0 && reading !== null)
    return readingSection(reading, 'State of everything');
  const groups = status.groups.filter(({ sources, firstReading }) => sources > firstReading);
  const state = worst([...groups.map((group) => group.state), ...named.map((cause) => cause.state)]);
  const line =
    counts.length > 0 || isWrong
      ? counts.map((count, index) => html`${index === 0 ? null : ' · '}${count}`)
      : allIsWell(status);
  return html`${reading === null ? null : readingSection(reading, 'First reading')}<section class="verdict verdict-${state}" aria-label="State of everything"><span class="state state-${state}">${state}</span>
<p>${line}</p>${named.length === 0 ? null : html`<ul class="causes">${named.map(causeItem)}</ul>`}</section>`;
};

/** Nothing is late because of them, but someone has to act. */
const notes: readonly string[] = ['listing_fails', 'retention_waits', 'retention_held_up'];

const causeItem = ({ what, since, action }: Cause): Html =>
  html`<li><strong>${what}</strong>${since === null ? null : html` <span class="sub">since ${timeOf(Date.parse(since))}</span>`} <span>${withCode(action)}</span></li>`;

/** Between backticks: a command. */
const withCode = (text: string): readonly (string | Html)[] =>
  text.split('`').map((part, index) => (index % 2 === 0 ? part : html`<code>${part}</code>`));

const readingSection = (reading: Html, name: string): Html =>
  html`<section class="verdict verdict-reading" aria-label="${name}"><span class="state state-reading">${stateName('reading')}</span><p>${reading}</p></section>`;

const allIsWell = ({ groups }: StatusWithStates): string => {
  const counts = countsOf(groups);
  const all = counts.organizations + counts.accounts;
  if (all === 0) return 'The listing names no organization: nothing is collected.';
  const whole =
    all === 1
      ? `The ${counts.accounts === 1 ? 'account' : 'organization'} is`
      : `All ${countedOwners(counts, ' and ')} are`;
  return `${whole} up to date. ${NOT_COLLECTED}: ${spanText(mostGapSeconds(groups))}${all === 1 ? '' : ' at most'}.`;
};

const words: Partial<Record<SourceHealth, string>> = { failing: 'failing', refused: 'refused', behind: 'behind' };

const sourcesTrouble = (counts: SourceCounts, state: string, word: string): Html => {
  const href = counts.organizations > 0 ? `/?state=${state}#organizations` : '#accounts';
  return html`<a href="${href}">${countedOwners(counts)} ${word}</a>`;
};

/** First readings are no trouble. */
const less = (all: SourceCounts, reading: SourceCounts): SourceCounts => ({
  organizations: all.organizations - reading.organizations,
  accounts: all.accounts - reading.accounts,
});

const stateCounted = ({ groups }: StatusWithStates, sinks: readonly SinkStatus[]): readonly Html[] => {
  const counted: Html[] = [];
  for (const [state, word] of Object.entries(words)) {
    const these = groups.filter((group) => group.state === state);
    const counts = less(countsOf(these), countsOf(these, 'firstReading'));
    if (counts.organizations + counts.accounts > 0) counted.push(sourcesTrouble(counts, state, word));
  }
  for (const state of ['failing', 'behind']) {
    const count = sinks.filter((sink) => sinkState(sink) === state).length;
    if (count > 0) counted.push(html`<a href="/sinks">${countOf(count, 'sink')} ${state}</a>`);
  }
  return counted;
};

interface SummaryView {
  readonly status: StatusWithStates;
  readonly budget: ApiBudgetFigures;
  readonly figures: ProcessFigures;
  readonly changedEntries: number;
}

export const summary = ({ status, budget, figures, changedEntries }: SummaryView): Html => html`<dl class="tiles">
${tile('Organizations', countText(countsOf(status.groups).organizations), stateCounts(status))}
${accountsTile(status)}
${unprovenTile(status)}
${readOnceTile(status)}
${tile('Feed position', countText(status.position), html`of the newest event`)}
${tile('Organizations last listed', listedText(status), html`all of them`)}
${tile('API requests', budgetText(budget, figures), budgetNote(budget))}
${tile('Changed entries', countText(changedEntries), html`sent again with other content`)}
${tile('Malformed entries', countText(figures.defectiveEntries), html`since start, stored unchanged`)}
</dl>`;

const tile = (name: string, value: string, note: Html): Html =>
  html`<div class="tile"><dt>${name}</dt><dd class="tile-value">${value}</dd><dd class="tile-note">${note}</dd></div>`;

const readOnceTile = ({ groups }: StatusWithStates): Html | null => {
  const logs = sumOf(groups, 'readOnce');
  return logs === 0 ? null : tile('Read once', countOf(logs, 'log'), html`history that is read again a day later`);
};

const unprovenTile = ({ groups }: StatusWithStates): Html | null => {
  const logs = sumOf(groups, 'unproven');
  return logs === 0 ? null : tile('Not proven yet', countOf(logs, 'log'), html`history that version 0.1 claimed`);
};

const accountsTile = ({ groups }: StatusWithStates): Html | null => {
  const { accounts } = countsOf(groups);
  if (accounts === 0) return null;
  const parts = stateParts(groups, 'account').map(({ state, count }) => `${count} ${stateName(state)}`);
  return tile('Accounts', countText(accounts), html`${parts.join(', ')}`);
};

const stateParts = (groups: readonly SourceGroup[], owner: SourceGroup['owner']) => {
  const counts = shownCounts(groups.filter((group) => group.owner === owner));
  return shownStates.flatMap((state) => {
    const count = counts.get(state) ?? 0;
    return count > 0 ? [{ state, count }] : [];
  });
};

const stateCounts = ({ groups }: StatusWithStates): Html => {
  const parts = stateParts(groups, 'organization').map(
    ({ state, count }) => html`<a href="/?state=${state}">${count} ${stateName(state)}</a>`,
  );
  return html`${parts.map((part, index) => (index === 0 ? part : html`, ${part}`))}`;
};

const listedText = ({ discovery }: StatusWithStates): string =>
  discovery.ageSeconds === null ? 'never' : agoText(discovery.ageSeconds);

const budgetText = ({ per5Minutes, blockedSeconds }: ApiBudgetFigures, { recentRequests }: ProcessFigures): string => {
  if (blockedSeconds > 0) return `paused, ${spanText(blockedSeconds)}`;
  const used = countText(recentRequests);
  return per5Minutes === undefined ? used : `${used} of ${countText(per5Minutes)}`;
};

/** The limit is of all replicas together; what each has sent, it alone knows. */
const budgetNote = ({ available, per5Minutes, blockedSeconds }: ApiBudgetFigures): Html => {
  if (blockedSeconds > 0) return html`Cloudflare asked for it (429, Retry-After): requests wait until then`;
  const limit =
    per5Minutes === undefined ? 'each user of Cloudflare has its own limit' : 'the limit is for all replicas';
  const now = available < 1 ? 'none can go out now: requests wait' : `${countText(available)} can go out at once`;
  return html`requests of this process in the last 5 minutes; ${limit}; ${now}`;
};

const steps = [
  { seconds: 5, name: '5 s' },
  { seconds: 30, name: '30 s' },
  { seconds: 60, name: '1 min' },
  { seconds: 300, name: '5 min' },
  { seconds: 3_600, name: '1 h' },
  { seconds: Number.POSITIVE_INFINITY, name: 'later' },
] as const;

export const latenessPanel = ({ lateness }: ProcessFigures): Html => {
  const within = (seconds: number) => lateness.find((step) => step.seconds === seconds)?.events ?? 0;
  const total = within(Number.POSITIVE_INFINITY);
  const shares = steps.map(({ seconds, name }, index) => {
    const before = index === 0 ? 0 : within(steps[index - 1]?.seconds ?? 0);
    return { name, share: total === 0 ? 0 : (within(seconds) - before) / total };
  });
  return html`<section class="panel" aria-labelledby="lateness"><h2 id="lateness">Delay of events</h2>
${
  total === 0
    ? html`<p class="muted">No new event yet since this process started.</p>`
    : html`<table class="lateness"><caption>How long after the action events arrived: ${countOf(total, 'event')} since this process started, without history</caption>
<thead class="unseen"><tr><th scope="col">Within</th><th scope="col">Share, drawn</th><th scope="col">Share</th></tr></thead>
<tbody>${shares.map(({ name, share }) => shareRow(name, share))}</tbody></table>`
}</section>`;
};

const shareRow = (name: string, share: number): Html => {
  const width = Math.round(share * 1_000) / 10;
  return html`<tr><th scope="row">${name}</th><td><svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect class="tl-ground" width="100" height="8"></rect><rect class="hour" width="${width}" height="8"></rect></svg></td><td class="number">${width.toFixed(1)} %</td></tr>`;
};

export const sinksPanel = (
  sinks: readonly SinkStatus[],
  nowMs: number,
): Html => html`<section class="panel" aria-labelledby="sinks"><h2 id="sinks"><a href="/sinks">Sinks</a></h2>
${
  sinks.length === 0
    ? html`<p class="muted">No sinks configured. Events can also be read from the feed and by SQL.</p>`
    : html`<div class="scroll" tabindex="0" role="region" aria-label="Table of sinks"><table class="sinks">
<thead><tr><th scope="col">Sink</th><th scope="col">State</th><th scope="col" class="number">Behind</th><th scope="col" class="number">Dead letters</th><th scope="col" class="number">Last success</th></tr></thead>
<tbody>${sinks.map((sink) => sinkRow(sink, nowMs))}</tbody></table></div>`
}</section>`;

const sinkRow = (
  sink: SinkStatus,
  nowMs: number,
): Html => html`<tr><th scope="row"><a href="${sinkHref(sink.name)}">${sink.name}</a><p class="sub">${sink.type} to ${sink.target}</p>
${sink.lastError === null ? null : html`<p class="error-text">${countOf(sink.failures, 'failure')} in a row: ${sink.lastError}</p>`}</th>
<td>${stateMark(sinkState(sink))}</td><td class="number">${countOf(sink.lagEvents, 'event')}<p class="sub">${spanText(sink.lagSeconds)}</p></td>
<td class="number">${countText(sink.deadLetters)}${sink.skipped === 0 ? null : html`<p class="sub">${countOf(sink.skipped, 'event')} skipped as too old</p>`}</td><td class="number">${agoOf(sink.lastSuccessAt, nowMs)}</td></tr>`;

export const changesPanel = (
  changes: readonly OrganizationChange[],
  nowMs: number,
): Html => html`<section class="panel" aria-labelledby="changes"><h2 id="changes">Organization changes</h2>
${
  changes.length === 0
    ? html`<p class="muted">None yet.</p>`
    : html`<ol class="changes">${changes.map((change) => changeItem(change, nowMs))}</ol>`
}</section>`;

const changeItem = (change: OrganizationChange, nowMs: number): Html =>
  html`<li><span><a href="${organizationHref(change.organizationId)}">${nameOf(change)}</a> ${change.change}${
    change.change !== 'renamed' && change.change !== 'moved'
      ? null
      : html` <span class="sub">${change.oldValue ?? 'none'} → ${change.newValue ?? 'none'}</span>`
  }</span> <span class="sub">${agoOf(change.changedAt, nowMs)}</span></li>`;
