import type { FastifyInstance } from 'fastify';
import { keyOf } from '../../../ingest/planning/source.ts';
import { type AccountWithState, isAccount } from '../../../status/sources/source-owner.ts';
import { hidden } from '../hidden.ts';
import { type Html, html } from '../html.ts';
import { type Frame, sendPage } from '../page.ts';
import { accountName } from './accounts-panel.ts';
import { eventsLinks } from './events-links.ts';
import { pacesOf, shownState, stateMark } from './first-reading.ts';
import { holesPanel } from './holes-panel.ts';
import { organizationHref } from './organizations.ts';
import { type OverviewOptions, ordinaryTail } from './overview.ts';
import { coveragePanels, explanation, facts } from './source-panels.ts';

const REFRESH_SECONDS = 10;

/** One account at `/accounts/:id`: its coverage in three sizes, its gaps, what goes wrong. */
export const accountRoutes = (pages: FastifyInstance, frame: Frame, options: OverviewOptions): void => {
  pages.get<{ Params: { id: string } }>('/accounts/:id', { schema: hidden }, async (request, reply) => {
    const { id } = request.params;
    const { sources, among } = await options.status.ofAccount(id, options);
    const source = sources.find(isAccount);
    if (source === undefined) {
      throw Object.assign(new Error('Account not found. It may be gone, or not be collected.'), { statusCode: 404 });
    }
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

/** The organization that it belongs to now, if one is known. */
const organizationLink = ({ organizationId, organizationName }: AccountWithState): Html | null =>
  organizationId === null
    ? null
    : html` / <a href="${organizationHref(organizationId)}">${organizationName ?? organizationId}</a>`;
