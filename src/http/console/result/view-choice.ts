import type { FastifyInstance, FastifyRequest } from 'fastify';
import { hidden } from '../hidden.ts';
import { type Html, html } from '../html.ts';
import { nextAddress } from '../sign-in/next-address.ts';
import { labelOfColumn } from './extra-columns.ts';
import {
  columnNames,
  densities,
  printView,
  type ResultView,
  readView,
  usualView,
  viewFields,
  withView,
} from './result-view.ts';

const VIEW_COOKIE = 'orgtrail_result';
const A_YEAR_SECONDS = 31_536_000;

const densityLabels = { comfortable: 'comfortable', compact: 'compact: one line for each event' } as const;

interface Body {
  readonly columns?: unknown;
  readonly density?: unknown;
  readonly usual?: unknown;
  readonly next?: unknown;
}

/** Remembers how a browser shows results, and leads to the same search with that in its address. */
export const viewRoutes = (console: FastifyInstance): void => {
  console.post<{ Body: Body | undefined }>('/console/result-view', { schema: hidden }, (request, reply) => {
    const { columns = '', density, usual, next } = request.body ?? {};
    const { view, faults } = usual === undefined ? readView({ columns, density }) : { view: usualView, faults: [] };
    const chosen = faults.length === 0 ? view : usualView;
    return reply
      .setCookie(VIEW_COOKIE, printView(chosen).toString(), {
        path: '/events',
        httpOnly: true,
        sameSite: 'strict',
        maxAge: A_YEAR_SECONDS,
        secure: request.protocol === 'https',
      })
      .redirect(withView(nextAddress(next), chosen), 303);
  });
};

/** Where a request that says no view goes on, if its browser remembers one. The address always says what is shown: so does a link to it. */
export const rememberedView = ({ cookies, query, url }: FastifyRequest): string | undefined => {
  const cookie = cookies[VIEW_COOKIE];
  if (!cookie || viewFields.some((field) => Object.hasOwn(query as object, field))) return undefined;
  const { view, faults } = readView(Object.fromEntries(new URLSearchParams(cookie)));
  return faults.length > 0 || printView(view).size === 0 ? undefined : withView(url, view);
};

/** Sent by a form: no script is needed. `address`: of this page. */
export const viewChoice = (
  view: ResultView,
  address: string,
): Html => html`<details class="view-choice" id="view-choice"><summary>Columns and density</summary>
<form class="stack" method="post" action="/console/result-view"><input type="hidden" name="next" value="${address}">
<fieldset><legend>Columns, beside the time</legend><div class="choices">${columnNames.map(
  (name) =>
    html`<label class="flag"><input type="checkbox" name="columns" value="${name}"${view.columns.includes(name) ? html` checked` : null}> <span><span class="unseen">Column </span>${labelOfColumn(name)}</span></label>`,
)}</div></fieldset>
<fieldset><legend>Density</legend><div class="choices">${densities.map(
  (name) =>
    html`<label class="flag"><input type="radio" name="density" value="${name}"${view.density === name ? html` checked` : null}> ${densityLabels[name]}</label>`,
)}</div></fieldset>
<p class="row"><button class="button" type="submit">Show</button><button class="quiet-button" type="submit" name="usual" value="true">As usual</button>
<span class="hint">This browser remembers it. The address has it as well: a link to it shows the same.</span></p>
</form></details>`;
