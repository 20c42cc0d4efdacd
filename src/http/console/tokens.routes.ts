import type { FastifyInstance } from 'fastify';
import { readTokenOverview, type ShownToken, type TokenOverview } from '../../postgres/access/tokens.sql.ts';
import { FEED_TOKEN_NAME, type FeedToken, latestToken } from '../guard.ts';
import { commandBlock, type Html, html } from './html.ts';
import { OPERATIONS_PATH, type Operations, operationsHead } from './operations.ts';
import { type Frame, hidden, sendPage } from './page.ts';
import { countOf, spanText, timeOf, zoneLabel } from './words.ts';

interface TokensOptions {
  readonly operations: Operations;
  readonly feedToken: FeedToken;
}

/** `/access-tokens`: who has a token, and for what. `/tokens/…` are the tokens of Cloudflare. */
export const tokenPages = (pages: FastifyInstance, frame: Frame, { operations, feedToken }: TokensOptions): void => {
  pages.get('/access-tokens', { schema: hidden }, async (request, reply) => {
    const isFeedTokenSet = latestToken(feedToken) !== undefined;
    const body = tokensBody({ ...(await readTokenOverview(operations.pool)), isFeedTokenSet, nowMs: Date.now() });
    return sendPage(request, reply, frame, { title: 'Tokens', current: OPERATIONS_PATH, body });
  });
};

interface TokensView extends TokenOverview {
  readonly isFeedTokenSet: boolean;
  readonly nowMs: number;
}

const tokensBody = (view: TokensView): Html => {
  const active = view.tokens.filter(({ state }) => state === 'active');
  const ended = view.tokens.filter(({ state }) => state !== 'active');
  return html`<div class="stack">
${operationsHead('/access-tokens', 'Tokens')}
${environmentPanel(view)}
<section class="panel" aria-labelledby="active"><h2 id="active">${countOf(active.length, 'token')} in force</h2>
${active.length === 0 ? html`<p class="empty">None in the database.</p>` : table(active, view, 'Table of tokens in force')}
<p class="hint">A token opens all organizations and accounts: scopes say which parts of orgtrail it opens, and nothing narrows it to some organizations. Its secret is stored nowhere, and shown once, when it is made. When it was last used is the day of its last row in the trail of access that was no refusal: a replica adds some rows up to an hour late.</p></section>
${ended.length === 0 ? null : html`<section class="panel" aria-labelledby="ended"><h2 id="ended">Revoked and expired</h2>${table(ended, view, 'Table of ended tokens')}</section>`}
${view.isCut ? html`<p class="muted">There are more: <code>orgtrail token list</code> has all of them.</p>` : null}
${commandsPanel}
</div>`;
};

const environmentPanel = (
  view: TokensView,
): Html => html`<section class="panel" aria-labelledby="environment"><h2 id="environment">${FEED_TOKEN_NAME}</h2>
<p>${view.isFeedTokenSet ? html`Set for this process: it has every scope and no end. ${countOf(view.feedTokenSessions, 'session')} of the console began with it. All who know it have one name in the trail of access: give each person and each reader a token of their own.` : 'Not set for this process.'}</p></section>`;

const table = (
  tokens: readonly ShownToken[],
  { nowMs }: TokensView,
  name: string,
): Html => html`<div class="scroll" tabindex="0" role="region" aria-label="${name}"><table class="sinks">
<thead><tr><th scope="col">Token</th><th scope="col">Opens</th><th scope="col">Created (${zoneLabel()})</th><th scope="col">Ends (${zoneLabel()})</th><th scope="col">Last used (UTC)</th><th scope="col">Sessions of the console</th></tr></thead>
<tbody>${tokens.map((token) => row(token, nowMs))}</tbody></table></div>`;

const row = (token: ShownToken, nowMs: number): Html => html`<tr><th scope="row">${token.name}</th>
<td>${token.scopes.join(', ')}${token.seesAccessLog ? html`<p class="sub">sees the whole access log</p>` : null}${token.replaysSinks ? html`<p class="sub">may replay sinks</p>` : null}</td>
<td>${timeOf(token.createdAt)}<p class="sub">by the database account ${token.createdAs}</p></td>
<td>${endOf(token, nowMs)}</td>
<td>${token.usedOn ?? html`<span class="muted">not in 400 days</span>`}</td>
<td>${sessionsOf(token)}</td></tr>`;

const endOf = ({ state, expiresAt, revokedAt, revokedAs }: ShownToken, nowMs: number): Html => {
  if (revokedAt !== null) {
    return html`revoked ${timeOf(revokedAt)}<p class="sub">by the database account ${revokedAs ?? 'that is not known'}</p>`;
  }
  if (expiresAt === null) return html`<span class="muted">no end</span>`;
  const left = state === 'expired' ? 'expired' : `in ${spanText((expiresAt.getTime() - nowMs) / 1_000)}`;
  return html`${timeOf(expiresAt)}<p class="sub">${left}</p>`;
};

const sessionsOf = ({ state, scopes, sessions, lastSignInAt }: ShownToken): Html => {
  if (state !== 'active') return html`<span class="muted">ended with it</span>`;
  if (!scopes.includes('search')) return html`<span class="muted">it cannot sign in</span>`;
  if (lastSignInAt === null) return html`<span class="muted">none now</span>`;
  return html`${countOf(sessions, 'session')} now<p class="sub">the last began ${timeOf(lastSignInAt)}</p>`;
};

const commandsPanel = html`<section class="panel" aria-labelledby="change"><h2 id="change">To make and to revoke one</h2><div class="stack">
<p>Tokens are changed by commands, with an account that owns the schema: the account of the daemon can neither make one nor revoke one. Each command is a row <code>token</code> in the trail of access. The first prints the token, once.</p>
${commandBlock('command-create', 'the command that makes a token', 'orgtrail token create NAME --scope search --expires 90d')}
${commandBlock('command-create-auditor', 'the command that makes a token for the whole access log', 'orgtrail token create NAME --scope search --access-log')}
${commandBlock('command-create-operator', 'the command that makes a token that replays sinks', 'orgtrail token create NAME --scope search --replay')}
${commandBlock('command-revoke', 'the command that revokes a token', 'orgtrail token revoke NAME')}
<p>Scopes: <code>feed</code> (the feed), <code>search</code> (searching and this console), <code>metrics</code>; several with commas. With <code>--access-log</code> its sessions see what all do, not only its own; with <code>--replay</code> they may set a <a href="/sinks">sink</a> back. A revoked token opens nothing within 10 seconds, and its sessions end at once.</p></div></section>`;
