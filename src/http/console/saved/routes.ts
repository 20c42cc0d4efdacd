import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Identity } from '../../../postgres/access/access.ts';
import type { AccessSource } from '../../../postgres/access/open-access.sql.ts';
import { printSearch, readSearch, searchFields } from '../../../search/query/search.ts';
import {
  isSavable,
  readEverySeconds,
  readSavedName,
  type SavedSearch,
  type SavedSearches,
  savedFaults,
  whyNotTold,
} from '../../../search/saved-searches.sql.ts';
import { changeNote } from '../../access-trail.ts';
import { httpError } from '../../failure.ts';
import { FEED_TOKEN_NAME } from '../../guard.ts';
import type { Operations } from '../operations.ts';
import { type Frame, hidden, rowNumberOf, sendPage } from '../page.ts';
import { saveBody, savedBody, savedListBody } from './page.ts';

interface Form {
  readonly Body: { readonly name?: unknown; readonly search?: unknown } | undefined;
}

/** For all who may sign in. Changes are in the trail of access. */
export const savedRoutes = (pages: FastifyInstance, frame: Frame, options: SavedOptions): void => {
  const { savedSearches, access } = options;
  pages.get('/searches', { schema: hidden }, async (request, reply) => {
    const all = await savedSearches.list();
    const rows = all.map((saved) => ({ saved, mayChange: mayChange(request.identity, saved) }));
    const body = savedListBody(rows, Date.now());
    return sendPage(request, reply, frame, { title: 'Saved searches', current: '/events', body });
  });
  pages.post<Form>('/searches', { schema: hidden }, async (request, reply) => {
    const search = readLink(request.body?.search);
    const given = String(request.body?.name ?? '');
    const refuse = (code: number, fault: string) => {
      const body = saveBody({ search, given, fault });
      return sendPage(request, reply.code(code), frame, { title: 'Save this search', current: '/events', body });
    };
    const reading = readSavedName(given);
    if ('fault' in reading) return refuse(400, reading.fault);
    const { name } = reading;
    const saved = await savedSearches.save({ name, search, by: request.identity?.who });
    if ('refused' in saved) return refuse(409, savedFaults[saved.refused]);
    noteSaved(access, request, { id: saved.id, name, search });
    return reply.redirect(`/searches#search-${saved.id}`, 303);
  });
  changeRoutes(pages, frame, options);
};

/** What cannot be searched for is not kept. */
const readLink = (given: unknown): string => {
  const parameters = [...new URLSearchParams(typeof given === 'string' ? given : '')];
  const known: ReadonlySet<string> = new Set(searchFields);
  const { search, faults: unreadable } = readSearch(Object.fromEntries(parameters), Date.now());
  // As for a page of events: what is unknown, or said twice, would make another search of it.
  const isWhole = parameters.every(
    ([name], at) => known.has(name) && parameters.findIndex(([one]) => one === name) === at,
  );
  const faults = isWhole ? unreadable : [...unreadable, 'parameters'];
  const link = printSearch(search).toString();
  if (faults.length === 0 && isSavable(link)) return link;
  const reason = faults.length > 0 ? 'cannot be read. Open it again, and save it from there' : 'is too long to be kept';
  throw httpError(400, `This search ${reason}.`);
};

export interface SavedOptions {
  readonly savedSearches: SavedSearches;
  readonly access: AccessSource;
  readonly operations: Pick<Operations, 'config'>;
}

const toldSinks = ({ operations }: SavedOptions): readonly string[] =>
  operations.config.sinks.filter(({ settings }) => settings.events === 'searches').map(({ name }) => name);

interface Numbered {
  readonly Params: { readonly id: string };
}

/** With the token that saved it, with ORGTRAIL_FEED_TOKEN, or locally if no token is needed. */
const mayChange = (identity: Identity | undefined, { savedBy }: SavedSearch): boolean =>
  identity !== undefined && [undefined, FEED_TOKEN_NAME, savedBy].includes(identity.who);

const changeRoutes = (pages: FastifyInstance, frame: Frame, options: SavedOptions): void => {
  const { savedSearches } = options;
  const find = async ({ params }: FastifyRequest<Numbered>): Promise<SavedSearch> => {
    const id = rowNumberOf(params.id);
    const saved = id === undefined ? undefined : await savedSearches.find(id);
    if (saved === undefined) throw httpError(404, 'Saved search not found. It may have been deleted.');
    return saved;
  };
  const findOwn = async (request: FastifyRequest<Numbered>): Promise<SavedSearch> => {
    const saved = await find(request);
    if (mayChange(request.identity, saved)) return saved;
    throw httpError(403, 'Another token saved this search: that one may change it, and ORGTRAIL_FEED_TOKEN');
  };
  const send = (request: FastifyRequest, reply: FastifyReply, saved: SavedSearch, more: object = {}) => {
    const of = { saved, mayChange: mayChange(request.identity, saved), sinks: toldSinks(options) };
    const body = savedBody({ ...of, nowMs: Date.now(), ...more });
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
  pages.post<Numbered & { Body: { readonly sink?: unknown; readonly every?: unknown } | undefined }>(
    '/searches/:id/tell',
    { schema: hidden },
    async (request, reply) => {
      const saved = await findOwn(request);
      const [sink, every] = [String(request.body?.sink ?? ''), readEverySeconds(String(request.body?.every ?? ''))];
      const refuse = (tellFault: string) => send(request, reply.code(400), saved, { tellFault });
      if (sink !== '' && !toldSinks(options).includes(sink)) return refuse('This sink is not sent searches.');
      if (every === undefined) return refuse('One message comes every minute to every week at most.');
      const why = sink === '' ? undefined : whyNotTold(saved.search);
      if (why !== undefined) return refuse(`Of this search, ${why}.`);
      const by = request.identity?.who;
      const outcome = await savedSearches.tell(saved.id, { sink: sink || undefined, everySeconds: every, by });
      if (outcome === 'no sink') return refuse('The database does not know this sink: restart the daemon.');
      noteSaved(options.access, request, { id: saved.id, name: saved.name, sink: sink || null, every_seconds: every });
      return reply.redirect(`/searches#search-${saved.id}`, 303);
    },
  );
  pages.post<Numbered>('/searches/:id/delete', { schema: hidden }, async (request, reply) => {
    const { id, name, search } = await findOwn(request);
    if (await savedSearches.remove(id)) noteSaved(options.access, request, { id, name, search });
    return reply.redirect('/searches', 303);
  });
};

/** A row of the trail has 8,000 characters at most. */
const MAX_NOTED = 2_000;

/** The route says whether it was made, renamed or deleted. */
const noteSaved = (
  access: AccessSource,
  request: FastifyRequest,
  {
    search,
    ...changed
  }: Readonly<{
    id: number;
    name: string;
    before?: string;
    search?: string;
    sink?: string | null;
    every_seconds?: number;
  }>,
): void => {
  const kept = search === undefined ? {} : { search: search.slice(0, MAX_NOTED) };
  access.note(changeNote(request, 'saved-search', { ...changed, ...kept }));
};
