import type { FastifyInstance, FastifyRequest } from 'fastify';
import { SearchError } from '../../../base/errors.ts';
import { parseInstantMs } from '../../../base/time.ts';
import { accessKinds } from '../../../postgres/access/access.ts';
import { type AccessCursor, type AccessPage, readAccessPage } from '../../../postgres/access/access-log.sql.ts';
import { instantOfBound, readSearch } from '../../../search/query/search.ts';
import { httpError, unknownIn } from '../../failure.ts';
import { FEED_TOKEN_NAME } from '../../guard.ts';
import { OPERATIONS_PATH, type Operations } from '../operations.ts';
import { type Frame, hidden, sendPage } from '../page.ts';
import { sessionProofOf } from '../sign-in.routes.ts';
import { ACCESS_LOG_PATH, type AccessLogView, accessLogBody, type GivenAccess } from './page.ts';

const DEFAULT_SINCE = '7d';
const LIMIT = 50;
const parameters = ['since', 'before', 'who', 'kind', 'from'];

type Query = Readonly<Record<string, unknown>>;

/** Opening the page is a row of its own. */
export const accessLogPages = (pages: FastifyInstance, frame: Frame, operations: Operations): void => {
  pages.get<{ Querystring: Query }>(
    ACCESS_LOG_PATH,
    { schema: hidden, config: { trail: 'access-log' } },
    async (request, reply) => {
      const view = await readView(operations, request);
      if (view.faults.length > 0) reply.code(400);
      else if (view.failure !== undefined) reply.code(503);
      const body = accessLogBody(view);
      return sendPage(request, reply, frame, { title: 'Access log', current: OPERATIONS_PATH, body });
    },
  );
};

const readView = async (
  operations: Operations,
  request: FastifyRequest<{ Querystring: Query }>,
): Promise<AccessLogView> => {
  const given = readGiven(request.query);
  const nowMs = Date.now();
  const { search, faults } = readSearch({ since: given.since, before: given.before }, nowMs);
  const who = request.identity?.who;
  const view = { given, who, faults: faults.map(({ field, reason }) => `${field} ${reason}`) };
  if (faults.length > 0 || search.since === undefined) return { ...view, page: undefined, failure: undefined };
  try {
    const page: AccessPage = await readAccessPage(operations.slowPool, {
      session: sessionProofOf(request),
      token: who === FEED_TOKEN_NAME ? undefined : who,
      who: given.who === '' ? undefined : given.who,
      kind: given.kind === '' ? undefined : given.kind,
      since: instantOfBound(search.since, nowMs),
      before: search.before && instantOfBound(search.before, nowMs),
      from: given.from,
      limit: LIMIT,
    });
    return { ...view, page, failure: undefined };
  } catch (error) {
    if (!(error instanceof SearchError)) throw error;
    return { ...view, page: undefined, failure: error.message };
  }
};

const readGiven = (query: Query): GivenAccess => {
  const [unknown] = unknownIn(query, parameters);
  if (unknown !== undefined) throw httpError(400, `${unknown}.`);
  const text = (name: string): string => (typeof query[name] === 'string' ? query[name].trim().slice(0, 200) : '');
  const kind = text('kind');
  if (kind !== '' && !accessKinds.some((known) => known === kind)) {
    throw httpError(400, `kind must be one of ${accessKinds.join(', ')}.`);
  }
  const since = text('since');
  return {
    since: since === '' ? DEFAULT_SINCE : since,
    before: text('before'),
    who: text('who').replaceAll('\0', '\ufffd'),
    kind,
    from: readCursor(text('from')),
  };
};

/** As `accessLogHref` writes it; undefined for anything else. */
const readCursor = (text: string): AccessCursor | undefined => {
  const [, at, id] = /^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?\+00)~(\d{1,15})$/.exec(text) ?? [];
  if (at === undefined || parseInstantMs(at.replace('+00', 'Z')) === undefined) return undefined;
  return { at, id: Number(id) };
};
