import type { FastifyInstance, FastifyRequest } from 'fastify';
import { hidden } from '../hidden.ts';
import { type Html, html } from '../html.ts';
import { nextAddress } from '../sign-in/next-address.ts';
import { offsetText, pageZone, TIMES_COOKIE, UTC, zoneOf } from './zone.ts';

const A_YEAR_SECONDS = 31_536_000;

/** Remembers in which zone a browser shows times. */
export const timesRoutes = (console: FastifyInstance): void => {
  console.post<{ Body: { times?: unknown; next?: unknown } | undefined }>(
    '/console/times',
    { schema: hidden },
    (request, reply) =>
      reply
        .setCookie(TIMES_COOKIE, zoneOf(request.body?.times) ?? UTC, {
          path: '/',
          httpOnly: true,
          sameSite: 'strict',
          maxAge: A_YEAR_SECONDS,
          secure: request.protocol === 'https',
        })
        .redirect(nextAddress(request.body?.next), 303),
  );
};

/** Only a script knows the zone of the browser: without one there is UTC, and the zone that was chosen before. */
export const timesSwitch = (request: FastifyRequest): Html => {
  const zone = pageZone();
  const pressed = (isOn: boolean): Html => html` aria-pressed="${isOn ? 'true' : 'false'}"`;
  return html`<form class="theme" method="post" action="/console/times">
<input type="hidden" name="next" value="${request.method === 'GET' ? request.url : '/'}">
<fieldset><legend class="unseen">Times</legend><button type="submit" name="times" value="${UTC}"${pressed(zone === UTC)}>UTC</button><button type="submit" name="times" value="${zone === UTC ? '' : zone}" data-local-zone${pressed(zone !== UTC)}${zone === UTC ? html` hidden` : null}>local</button></fieldset></form>`;
};

/** Which times a page shows, in words. */
export const timesNote = (nowMs: number): Html => {
  const zone = pageZone();
  if (zone === UTC) return html`all times are UTC<noscript>; local times need a script</noscript>`;
  return html`all times are those of ${zone} (now UTC${offsetText(zone, nowMs)}); times that you write are UTC`;
};
