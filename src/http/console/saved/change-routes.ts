import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { AccessSource, Identity } from '../../../access/ports.ts';
import {
  readSavedName,
  type SavedSearch,
  type SavedSearches,
  savedFaults,
} from '../../../search/saved/saved-search.ts';
import { FEED_TOKEN_NAME } from '../../guard.ts';
import { hidden } from '../hidden.ts';
import { type Frame, sendPage } from '../page.ts';
import { noteSaved } from './note-saved.ts';
import { savedBody } from './saved-pages.ts';

export interface SavedOptions {
  readonly savedSearches: SavedSearches;
  readonly access: AccessSource;
}

interface Numbered {
  readonly Params: { readonly id: string };
}

const mistake = (statusCode: number, reason: string): Error => Object.assign(new Error(reason), { statusCode });

/** Whether the request may rename and delete it: with the token that saved it, with that of the environment, or locally if no token is needed. */
export const mayChange = (identity: Identity | undefined, { savedBy }: SavedSearch): boolean =>
  identity !== undefined && [undefined, FEED_TOKEN_NAME, savedBy].includes(identity.who);

/** `/searches/:id`: one saved search, and the forms that rename and delete it. */
export const changeRoutes = (pages: FastifyInstance, frame: Frame, options: SavedOptions): void => {
  const { savedSearches } = options;
  const find = async ({ params }: FastifyRequest<Numbered>): Promise<SavedSearch> => {
    const id = /^[1-9]\d{0,14}$/.test(params.id) ? Number(params.id) : undefined;
    const saved = id === undefined ? undefined : await savedSearches.find(id);
    if (saved === undefined) throw mistake(404, 'Saved search not found. It may have been deleted.');
    return saved;
  };
  const findOwn = async (request: FastifyRequest<Numbered>): Promise<SavedSearch> => {
    const saved = await find(request);
    if (mayChange(request.identity, saved)) return saved;
    throw mistake(403, 'Another token saved this search: that one may change it, and ORGTRAIL_FEED_TOKEN');
  };
  const send = (request: FastifyRequest, reply: FastifyReply, saved: SavedSearch, more: object = {}) => {
    const body = savedBody({ saved, mayChange: mayChange(request.identity, saved), nowMs: Date.now(), ...more });
    return sendPage(request, reply, frame, { title: `Saved search ${saved.name}`, current: '/events', body });
  };
  pages.get<Numbered>('/searches/:id', { schema: hidden }, async (request, reply) =>
    send(request, reply, await find(request)),
  );
  pages.post<Numbered & { Body: { readonly name?: unknown } | undefined }>(
    '/searches/:id/rename',
    { schema: hidden },
    async (request, reply) => {
      const saved = await findOwn(request);
      const given = String(request.body?.name ?? '');
      const reading = readSavedName(given);
      if ('fault' in reading) return send(request, reply.code(400), saved, { fault: reading.fault, given });
      const { name } = reading;
      const outcome = await savedSearches.rename(saved.id, name, request.identity?.who);
      if (outcome === 'name taken') {
        return send(request, reply.code(409), saved, { fault: savedFaults[outcome], given });
      }
      if (outcome === 'renamed') noteSaved(options.access, request, { id: saved.id, name, before: saved.name });
      return reply.redirect(`/searches#search-${saved.id}`, 303);
    },
  );
  pages.post<Numbered>('/searches/:id/delete', { schema: hidden }, async (request, reply) => {
    const { id, name, search } = await findOwn(request);
    if (await savedSearches.remove(id)) noteSaved(options.access, request, { id, name, search });
    return reply.redirect('/searches', 303);
  });
};
