import type { FastifyInstance } from 'fastify';
import { keyOf } from '../../../ingest/planning/source.ts';
import { type AccountWithState, isAccount, isOrganization } from '../../../status/sources/source-owner.ts';
import { hidden } from '../hidden.ts';
import { html } from '../html.ts';
import { type Frame, sendPage } from '../page.ts';
import { accountsPanel } from './accounts-panel.ts';
import type { Tail } from './coverage-timeline.ts';
import { eventsLinks } from './events-links.ts';
import { pacesOf, shownState, stateMark } from './first-reading.ts';
import { holesPanel } from './holes-panel.ts';
import { gapsOfHours, hoursChart } from './hours-chart.ts';
import { nameOf } from './organizations.ts';
import { type OverviewOptions, ordinaryTail } from './overview.ts';
import { changesPanel } from './overview-panels.ts';
import { coveragePanels, explanation, facts } from './source-panels.ts';

const REFRESH_SECONDS = 10;
const CHANGES = 20;

/** Accounts whose gaps are drawn. */
const MAX_LACKING = 50;

const tooSlow = html`<p class="muted" role="status">Counting them takes too long for this page. The links to its events count longer.</p>`;

/** The accounts that lack more than the last moments, or time that could not be collected: the longest. */
const lacking = (accounts: readonly AccountWithState[], { ordinaryMs }: Tail): readonly AccountWithState[] =>
  accounts
    .filter(({ gapSeconds, holes }) => holes > 0 || gapSeconds * 1_000 > ordinaryMs)
    .sort((a, b) => b.gapSeconds - a.gapSeconds)
    .slice(0, MAX_LACKING);

/** One organization at `/organizations/:id`: its coverage in three sizes, its gaps, what goes wrong, its accounts. */
export const organizationRoutes = (pages: FastifyInstance, frame: Frame, options: OverviewOptions): void => {
  pages.get<{ Params: { id: string } }>('/organizations/:id', { schema: hidden }, async (request, reply) => {
    const { id } = request.params;
    const { sources, among } = await options.status.ofOrganization(id, options);
    const source = sources.find(isOrganization);
    if (source === undefined) {
      throw Object.assign(new Error('Organization not found. It may be gone, or not be collected.'), {
        statusCode: 404,
      });
    }
    const tail = ordinaryTail(options, among);
    const accounts = sources.filter(isAccount);
    const [covered, activity, hours, changes, paces] = await Promise.all([
      options.overview.coverage([source, ...lacking(accounts, tail)]),
      options.overview.activity(),
      options.overview.hours(id),
      options.overview.changes(CHANGES, id),
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
