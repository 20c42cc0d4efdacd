import type { FastifyInstance } from 'fastify';
import type { EvidenceStatus } from '../../../evidence/stored/evidence-status.sql.ts';
import type { SinkStatus } from '../../../sinks/sink-status.sql.ts';
import { behindAfterSeconds, pausesOf } from '../../../status/health.ts';
import type { OverviewSource } from '../../../status/overview/overview.ts';
import { sumOf } from '../../../status/sources/source-groups.ts';
import { isAccount, isOrganization } from '../../../status/sources/source-owner.ts';
import { type StatusWithStates, sinkState } from '../../../status/sources/source-state.ts';
import type { StatusReader } from '../../../status/status-reader.ts';
import { evidenceLine } from '../evidence/evidence-line.ts';
import { isStopped } from '../evidence/evidence-words.ts';
import { hidden } from '../hidden.ts';
import { type Html, html } from '../html.ts';
import { type Frame, sendPage } from '../page.ts';
import { accountsPanel } from './accounts-panel.ts';
import type { Tail } from './coverage-timeline.ts';
import { isLosing, type Paces, pacesOf, readingLine } from './first-reading.ts';
import { hoursChart } from './hours-chart.ts';
import { organizationsPanel, readFilter, selectOrganizations } from './organizations.ts';
import { changesPanel, latenessPanel, sinksPanel } from './overview-panels.ts';
import { countOfSources, stateLine, summary } from './overview-summary.ts';

const REFRESH_SECONDS = 10;
const CHANGES = 8;

/** What the pages about organizations are made from. */
export interface OverviewOptions {
  readonly tickMs: number;
  /** Requests per 5 minutes. */
  readonly apiBudget: number;
  readonly status: StatusReader;
  readonly sinks: () => Promise<readonly SinkStatus[]>;
  readonly trouble?: () => string | undefined;
  readonly overview: OverviewSource;
  /** How the evidence stands; undefined if there is none. */
  readonly evidence?: () => Promise<EvidenceStatus | undefined>;
}

/** Up to here, what has not been read is only what the next turns read. */
export const ordinaryTail = (options: OverviewOptions, sources: number): Tail => ({
  ordinaryMs: behindAfterSeconds(pausesOf(options, sources)) * 1_000,
});

/** The overview at `/`. */
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
    overview.changes(CHANGES),
    overview.changedEntries(),
    options.evidence?.(),
  ]);
  const nowMs = Date.now();
  const organizations = await organizationsOf(status, options, query);
  const shown = status.isWhole ? status.sources : organizations.selected.rows;
  const paces = pacesOf(await overview.pace(shown.filter(({ firstReading }) => firstReading)));
  // Else it would be below fifty organizations.
  const isInTrouble = sinks.some((sink) => sinkState(sink) !== 'ok');
  return html`<div class="stack">
<div class="row between"><h1>Overview</h1><p class="muted live" data-connection-note role="status"></p></div>
${stateLine(status, sinks, { ...options, reading: readingOf(status, paces), stopped: evidence && isStopped(evidence) ? evidence.state : undefined })}
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

const readingOf = ({ groups, sources, isWhole }: StatusWithStates, paces: Paces): Html | null =>
  readingLine({
    groups,
    sources: isWhole ? sources : undefined,
    paces,
    words: (counts) => countOfSources(counts, ' and '),
  });

/** Accounts in trouble, and those that no page of an organization lists. */
const shownAccounts = ({ sources }: StatusWithStates) =>
  sources
    .filter(isAccount)
    .filter(
      (account) =>
        account.organizationId === null ||
        (!healthy.includes(account.state) && !account.firstReading) ||
        isLosing(account),
    );

/** How many of them there are, named or not. */
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
