import type { FastifyInstance } from 'fastify';
import { isSavable, readSavedName, savedFaults } from '../../../search/saved/saved-search.ts';
import { printSearch, readSearch, searchFields } from '../../../search/search.ts';
import { hidden } from '../hidden.ts';
import { type Frame, sendPage } from '../page.ts';
import { changeRoutes, mayChange, type SavedOptions } from './change-routes.ts';
import { noteSaved } from './note-saved.ts';
import { saveBody } from './save-form.ts';
import { savedListBody } from './saved-pages.ts';

interface Form {
  readonly Body: { readonly name?: unknown; readonly search?: unknown } | undefined;
}

/** `/searches`: searches that are kept under a name, for all who may sign in. What changes them is in the trail of access. */
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

/** The search of a form, as its link has it: what cannot be searched for is not kept. */
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
  throw Object.assign(new Error(`This search ${reason}.`), { statusCode: 400 });
};
