import { type Html, html } from '../html.ts';

/** From the page of an organization or an account to its events, counted and drawn there, and to what detections found in them. */
export const eventsLinks = (owner: 'organization' | 'account', id: string): Html => {
  const link = (words: string, parameters: Readonly<Record<string, string>>, path = '/events'): Html =>
    html`<a class="quiet-button" href="${path}?${String(new URLSearchParams({ [owner]: id, ...parameters }))}">${words}</a>`;
  return html`<nav class="row" aria-label="Its events"><span class="muted">Events:</span>
${link('last 24 hours', { since: '24h' })}
${link('last 7 days', { since: '7d' })}
${link('failures, 7 days', { since: '7d', result: 'failure' })}
${link('deletions, 30 days', { since: '30d', action: 'delete' })}
${owner === 'account' ? null : link('detections, 7 days', { since: '7d' }, '/detections')}</nav>`;
};
