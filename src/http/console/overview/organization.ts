import type { FastifyInstance } from 'fastify';
import { keyOf } from '../../../ingest/planning/source.ts';
import { isAccount, isOrganization } from '../../../status/sources/source-owner.ts';
import { hidden } from '../hidden.ts';
import { html } from '../html.ts';
import { type Frame, sendPage } from '../page.ts';
import { accountsPanel } from './accounts-panel.ts';
import { eventsLinks } from './events-links.ts';
import { pacesOf, shownState } from './first-reading.ts';
import { holesPanel } from './holes-panel.ts';
import { nameOf, stateMark } from './organizations.ts';
import { type OverviewOptions, ordinaryTail } from './overview.ts';
import { changesPanel } from './overview-panels.ts';
import { coveragePanels, explanation, facts } from './source-panels.ts';

const REFRESH_SECONDS = 10;
const CHANGES = 20;

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
    const [[coverage], activity, changes, paces] = await Promise.all([
      options.overview.coverage([source]),
      options.overview.activity(),
      options.overview.changes(CHANGES, id),
      options.overview.pace(sources.filter(({ firstReading }) => firstReading)).then(pacesOf),
    ]);
    const nowMs = Date.now();
    const tail = ordinaryTail(options, among);
    const body = html`<div class="stack">
<p class="crumbs"><a href="/">Overview</a></p>
<div class="row"><h1>${nameOf(source)}</h1>${stateMark(shownState(source))}<span class="mono muted">${id}</span></div>
${eventsLinks('organization', id)}
${explanation(source, paces)}
${facts(source, activity.bySource.get(keyOf(source)) ?? 0, nowMs)}
${coverage === undefined ? null : coveragePanels(source, coverage, tail, options.overview.settleDelaysMs)}
${coverage === undefined ? null : holesPanel(coverage, source.holes)}
${accountsPanel(sources.filter(isAccount), { activity, paces, nowMs })}
${changesPanel(changes, nowMs)}
</div>`;
    const page = { title: nameOf(source), current: '/', refreshSeconds: REFRESH_SECONDS, body };
    return sendPage(request, reply, frame, page);
  });
};
