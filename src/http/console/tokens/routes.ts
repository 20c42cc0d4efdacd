import type { FastifyInstance } from 'fastify';
import { type FeedToken, latestToken } from '../../guard.ts';
import { hidden } from '../hidden.ts';
import { OPERATIONS_PATH } from '../operations/operations-menu.ts';
import type { OperationsSource } from '../operations/operations-source.ts';
import { type Frame, sendPage } from '../page.ts';
import { tokensBody } from './tokens-page.ts';

interface TokensOptions {
  readonly operations: OperationsSource;
  readonly feedToken: FeedToken;
}

/** `/access-tokens`: who has a token, and for what. `/tokens/…` are the tokens of Cloudflare. */
export const tokenPages = (pages: FastifyInstance, frame: Frame, { operations, feedToken }: TokensOptions): void => {
  pages.get('/access-tokens', { schema: hidden }, async (request, reply) => {
    const isFeedTokenSet = latestToken(feedToken) !== undefined;
    const body = tokensBody({ ...(await operations.tokens()), isFeedTokenSet, nowMs: Date.now() });
    return sendPage(request, reply, frame, { title: 'Tokens', current: OPERATIONS_PATH, body });
  });
};
