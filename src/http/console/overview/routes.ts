import type { FastifyInstance } from 'fastify';
import { keyOf } from '../../../ingest/planning/source.ts';
import { behindAfterSeconds, pausesOf } from '../../../status/health.ts';
import type { OverviewSource } from '../../../status/overview.sql.ts';
import {
  type AccountWithState,
  countedOwners,
  isAccount,
  isOrganization,
  type SourceCounts,
  type StatusWithStates,
  sinkState,
  sumOf,
} from '../../../status/source-state.ts';
import { httpError } from '../../failure.ts';
import type { HealthOptions } from '../../health.routes.ts';
import { evidenceLine } from '../evidence.routes.ts';
import { type Html, html } from '../html.ts';
import { type Frame, hidden, sendPage } from '../page.ts';
import { isLosing, pacesOf, readingLine, shownState, stateMark } from '../source-states.ts';
import {
  accountName,
  accountsPanel,
  nameOf,
  organizationHref,
  organizationsPanel,
  readFilter,
  selectOrganizations,
} from './organizations.ts';
import { changesPanel, latenessPanel, sinksPanel, stateLine, summary } from './page.ts';
import { coveragePanels, eventsLinks, explanation, facts, holesPanel } from './source-panels.ts';
import { gapsOfHours, hoursChart, type Tail } from './timeline.ts';

const REFRESH_SECONDS = 10;
const CHANGES_OF_ALL = 8;

export interface OverviewOptions
  extends Pick<HealthOptions, 'tickMs' | 'apiBudget' | 'status' | 'sinks' | 'causes' | 'evidence'> {
  readonly overview: OverviewSource;
}

/** Up to here, unread time is only what the next turns read. */
const ordinaryTail = (options: OverviewOptions, sources: number): Tail => ({
  ordinaryMs: behindAfterSeconds(pausesOf(options, sources)) * 1_000,
});

export const overviewRoutes = (pages: FastifyInstance, frame: Frame, options: OverviewOptions): void => {
  pages.get<{ Querystring: Record<string, unknown> }>('/', { schema: hidden }, async (request, reply) => {
    const body = await overviewBody(options, request.query);
    return sendPage(request, reply, frame, { title: 'Overview', current: '/', refreshSeconds: REFRESH_SECONDS, body });
  });
};

const overviewBody = async (options: OverviewOptions, query: Record<string, unknown>): Promise<Html> => {
  const { overview } = options;
  const [status, sinks, activity, budget, figures, changes, changedEntries, evidence] = await Promise.all([
    options.status.read(options),
    options.sinks(),
    overview.activity(),
    overview.budget(),
    overview.figures(),
    overview.changes(CHANGES_OF_ALL),
    overview.changedEntries(),
    options.evidence?.(),
  ]);
  const nowMs = Date.now();
  const causes = await options.causes(status, sinks);
  const organizations = await organizationsOf(status, options, query);
  const shown = status.isWhole ? status.sources : organizations.selected.rows;
  const paces = pacesOf(await overview.pace(shown.filter(({ firstReading }) => firstReading)));
  const read = status.isWhole ? status.sources : undefined;
  const words = (counts: SourceCounts) => countedOwners(counts, ' and ');
  const reading = readingLine({ groups: status.groups, sources: read, paces, words });
  // Else it would be below fifty organizations.
  const isInTrouble = sinks.some((sink) => sinkState(sink) !== 'ok');
  return html`<div class="stack">
<div class="row between"><h1>Overview</h1><p class="muted live" data-connection-note role="status"></p></div>
${stateLine(status, sinks, causes, reading)}
${evidence === undefined ? null : evidenceLine(evidence)}
${summary({ status, budget, figures, changedEntries })}
<div class="grid-main"><section class="panel" aria-labelledby="activity"><h2 id="activity">Events per hour</h2>${hoursChart(activity.hours)}</section>
${latenessPanel(figures)}</div>
${isInTrouble ? sinksPanel(sinks, nowMs) : null}
${organizationsPanel({ ...organizations, activity, paces, nowMs })}
${accountsPanel(shownAccounts(status), { activity, paces, nowMs }, { title: 'Accounts in trouble or of no organization', all: countShownAccounts(status) })}
<div class="grid-2">${isInTrouble ? null : sinksPanel(sinks, nowMs)}${changesPanel(changes, nowMs)}</div>
</div>`;
};

/** Also those that no page of an organization lists. */
const shownAccounts = ({ sources }: StatusWithStates) =>
  sources
    .filter(isAccount)
    .filter(
      (account) =>
        account.organizationId === null ||
        (!healthy.includes(account.state) && !account.firstReading) ||
        isLosing(account),
    );

const countShownAccounts = ({ groups }: StatusWithStates): number =>
  groups
    .filter(({ owner }) => owner === 'account')
    .reduce((sum, { organizationId, state, sources, nearLoss, firstReading }) => {
      if (organizationId === null) return sum + sources;
      return sum + (healthy.includes(state) ? nearLoss : sources - firstReading);
    }, 0);

const healthy: readonly string[] = ['fresh', 'quiet'];

const organizationsOf = async (status: StatusWithStates, options: OverviewOptions, query: Record<string, unknown>) => {
  const filter = readFilter(query);
  const all = status.isWhole ? status.sources.filter(isOrganization) : await options.status.organizations(options);
  const selected = selectOrganizations(all, filter);
  const rows = await options.overview.coverage(selected.rows);
  return {
    all,
    filter,
    selected,
    coverage: new Map(rows.map((row) => [row.id, row])),
    tail: ordinaryTail(options, sumOf(status.groups)),
    passes: options.overview.settleDelaysMs.length,
  };
};

const CHANGES_OF_ONE = 20;

const MAX_LACKING = 50;

const tooSlow = html`<p class="muted" role="status">Counting them takes too long for this page. The links to its events count longer.</p>`;

/** More than the last moments, or time that could not be collected: the longest. */
const lacking = (accounts: readonly AccountWithState[], { ordinaryMs }: Tail): readonly AccountWithState[] =>
  accounts
    .filter(({ gapSeconds, holes }) => holes > 0 || gapSeconds * 1_000 > ordinaryMs)
    .sort((a, b) => b.gapSeconds - a.gapSeconds)
    .slice(0, MAX_LACKING);

export const organizationRoutes = (pages: FastifyInstance, frame: Frame, options: OverviewOptions): void => {
  pages.get<{ Params: { id: string } }>('/organizations/:id', { schema: hidden }, async (request, reply) => {
    const { id } = request.params;
    const { sources, among } = await options.status.ofOrganization(id, options);
    const source = sources.find(isOrganization);
    if (source === undefined) throw httpError(404, 'Organization not found. It may be gone, or not be collected.');
    const tail = ordinaryTail(options, among);
    const accounts = sources.filter(isAccount);
    const [covered, activity, hours, changes, paces] = await Promise.all([
      options.overview.coverage([source, ...lacking(accounts, tail)]),
      options.overview.activity(),
      options.overview.hours(id),
      options.overview.changes(CHANGES_OF_ONE, id),
      options.overview.pace(sources.filter(({ firstReading }) => firstReading)).then(pacesOf),
    ]);
    const nowMs = Date.now();
    const coverage = covered.find((one) => keyOf(one) === keyOf(source));
    const body = html`<div class="stack">
<p class="crumbs"><a href="/">Overview</a></p>
<div class="row"><h1>${nameOf(source)}</h1>${stateMark(shownState(source))}<span class="mono muted">${id}</span></div>
${eventsLinks('organization', id)}
${explanation(source, paces)}
${facts(source, activity.bySource.get(keyOf(source)) ?? 0, nowMs)}
<section class="panel" aria-labelledby="activity"><h2 id="activity">Events per hour</h2>${hours === undefined ? tooSlow : hoursChart(hours, { organization: id, gaps: gapsOfHours(hours, covered, tail) })}</section>
${coverage === undefined ? null : coveragePanels(source, coverage, tail, options.overview.settleDelaysMs)}
${coverage === undefined ? null : holesPanel(coverage, source.holes)}
${accountsPanel(accounts, { activity, paces, nowMs })}
${changesPanel(changes, nowMs)}
</div>`;
    const page = { title: nameOf(source), current: '/', refreshSeconds: REFRESH_SECONDS, body };
    return sendPage(request, reply, frame, page);
  });
};

export const accountRoutes = (pages: FastifyInstance, frame: Frame, options: OverviewOptions): void => {
  pages.get<{ Params: { id: string } }>('/accounts/:id', { schema: hidden }, async (request, reply) => {
    const { id } = request.params;
    const { sources, among } = await options.status.ofAccount(id, options);
    const source = sources.find(isAccount);
    if (source === undefined) throw httpError(404, 'Account not found. It may be gone, or not be collected.');
    const [[coverage], activity, paces] = await Promise.all([
      options.overview.coverage([source]),
      options.overview.activity(),
      options.overview.pace(source.firstReading ? [source] : []).then(pacesOf),
    ]);
    const tail = ordinaryTail(options, among);
    const body = html`<div class="stack">
<p class="crumbs"><a href="/">Overview</a>${organizationLink(source)}</p>
<div class="row"><h1>${accountName(source)}</h1>${stateMark(shownState(source))}<span class="mono muted">account ${id}</span></div>
${eventsLinks('account', id)}
${explanation(source, paces)}
${facts(source, activity.bySource.get(keyOf(source)) ?? 0, Date.now())}
${coverage === undefined ? null : coveragePanels(source, coverage, tail, options.overview.settleDelaysMs)}
${coverage === undefined ? null : holesPanel(coverage, source.holes)}
</div>`;
    const page = { title: accountName(source), current: '/', refreshSeconds: REFRESH_SECONDS, body };
    return sendPage(request, reply, frame, page);
  });
};

const organizationLink = ({ organizationId, organizationName }: AccountWithState): Html | null =>
  organizationId === null
    ? null
    : html` / <a href="${organizationHref(organizationId)}">${organizationName ?? organizationId}</a>`;
