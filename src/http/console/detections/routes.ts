import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { SearchError } from '../../../base/errors.ts';
import type { StreamLimits } from '../../../base/limits.ts';
import { isVisible } from '../../../base/text.ts';
import type { AccessNote } from '../../../postgres/access/access.ts';
import type { AccessSource } from '../../../postgres/access/open-access.sql.ts';
import { instantOfBound, readSearch } from '../../../search/query/search.ts';
import { resolveNames } from '../../../search/run-search.ts';
import type { SearchSource } from '../../../search/search-source.ts';
import { severities } from '../../../sinks/findings/finding.ts';
import { listFindings } from '../../../sinks/findings/list-findings.sql.ts';
import {
  acknowledgeDetection,
  canBeMuted,
  muteDetection,
  readMutes,
  unmuteDetection,
} from '../../../sinks/findings/mutes.sql.ts';
import { type OwnDetection, readOwnDetections } from '../../../sinks/findings/own-detections.sql.ts';
import { ruleNamed } from '../../../sinks/findings/rules.ts';
import { changeNote, startStreaming } from '../../access-trail.ts';
import { goneSignal, httpError, inPlace, unknownIn } from '../../failure.ts';
import type { Operations } from '../operations.ts';
import { type Frame, hidden, sendPage } from '../page.ts';
import {
  DETECTIONS_PATH,
  type DetectionsGiven,
  type DetectionsView,
  detectionsBody,
  type Hiding,
  hideBody,
  MAX_PAGE,
  MAX_REASON,
  muteSpans,
  PAGE_SIZE,
  unmuteBody,
} from './page.ts';

/** The views scan all of their time. */
const DEFAULT_SINCE = '24h';
const parameters = ['since', 'before', 'organization', 'severity', 'detection', 'actor', 'muted', 'page'];

type Query = Readonly<Record<string, unknown>>;

interface DetectionsOptions {
  readonly operations: Operations;
  readonly search: SearchSource;
  readonly streams: StreamLimits;
}

export const detectionPages = (pages: FastifyInstance, frame: Frame, options: DetectionsOptions): void => {
  pages.get<{ Querystring: Query }>(
    DETECTIONS_PATH,
    { schema: hidden, config: { trail: 'search' } },
    (request, reply) =>
      inPlace(options.streams, reply, async () => {
        const view = await readView(options, request.query, goneSignal(reply));
        startStreaming(request, view.list?.findings.length);
        if (view.faults.length > 0) reply.code(400);
        else if (view.failure !== undefined) reply.code(503);
        const title = 'Detections';
        return sendPage(request, reply, frame, { title, current: DETECTIONS_PATH, body: detectionsBody(view) });
      }),
  );
};

const readView = async (
  { operations, search: source }: DetectionsOptions,
  query: Query,
  signal: AbortSignal,
): Promise<DetectionsView> => {
  const given = readGiven(query);
  const own = await readOwnDetections(operations.pool);
  requireDetection(given.detection, own, 400);
  const nowMs = Date.now();
  const { since, before, organization } = given;
  const bounds = { since: since === '' ? DEFAULT_SINCE : since, before, organization };
  const reading = await resolveNames(source, readSearch(bounds, nowMs));
  const page = readPage(query['page']);
  const view = {
    given: { ...given, since: bounds.since },
    page,
    nowMs,
    organizations: await source.organizations(),
    mutes: await readMutes(operations.pool),
    own,
  };
  const { search, faults } = reading;
  if (faults.length > 0 || search.since === undefined) return { ...view, faults, list: undefined, failure: undefined };
  try {
    const asked = {
      since: instantOfBound(search.since, nowMs),
      before: search.before && instantOfBound(search.before, nowMs),
      organization: search.organization,
      severity: given.severity === '' ? undefined : given.severity,
      detection: given.detection === '' ? undefined : given.detection,
      actor: given.actor === '' ? undefined : given.actor,
      showMuted: given.muted === 'shown',
      limit: PAGE_SIZE,
      offset: (page - 1) * PAGE_SIZE,
    };
    return { ...view, faults, list: await listFindings(operations.slowPool, asked, signal), failure: undefined };
  } catch (error) {
    if (!(error instanceof SearchError)) throw error;
    return { ...view, faults, list: undefined, failure: error.message };
  }
};

const readGiven = (query: Query): DetectionsGiven => {
  const [unknown] = unknownIn(query, parameters);
  if (unknown !== undefined) throw httpError(400, `${unknown}.`);
  const text = (name: string): string => (typeof query[name] === 'string' ? query[name].trim() : '');
  const [severity, detection] = [text('severity'), text('detection')];
  if (severity !== '' && !severities.some((known) => known === severity)) {
    throw httpError(400, `severity must be one of ${severities.join(', ')}.`);
  }
  return {
    since: text('since'),
    before: text('before'),
    organization: text('organization'),
    severity,
    detection,
    actor: text('actor'),
    muted: text('muted') === 'shown' ? 'shown' : '',
  };
};

/** All or one of ours, or of those of the operator. */
const requireDetection = (name: string, own: readonly OwnDetection[], code: 400 | 404): void => {
  if (name === '' && code === 400) return;
  if (ruleNamed(name) !== undefined || own.some((rule) => rule.name === name)) return;
  throw httpError(code, 'There is no such detection.');
};

const readPage = (text: unknown): number => {
  const page = typeof text === 'string' && /^[1-9]\d?$/.test(text) ? Number(text) : 1;
  return Math.min(page, MAX_PAGE);
};

const current = DETECTIONS_PATH;
const titles = { mute: 'Mute a detection', acknowledge: 'Acknowledge findings' } as const;
const MAX_ACTOR = 1_000;

type Fields = Readonly<Record<string, unknown>>;

/** Each asks on a page of its own, needs a person who has signed in, and is kept in the trail of access. */
export const mutePages = (
  pages: FastifyInstance,
  frame: Frame,
  { operations, access }: { readonly operations: Operations; readonly access: AccessSource },
): void => {
  const note = (request: FastifyRequest, what: AccessNote['what']) => access.note(changeNote(request, 'mute', what));
  const ask = (hiding: Hiding) => async (request: FastifyRequest<Asked>, reply: FastifyReply) => {
    const body = hideBody({ hiding, ...(await readScope(operations, request.query)), who: personOf(request) });
    return sendPage(request, reply, frame, { title: titles[hiding], current, body });
  };
  const hide = (hiding: Hiding) => async (request: FastifyRequest<Asked>, reply: FastifyReply) => {
    const by = requirePerson(request);
    const scope = await readScope(operations, request.query);
    const { reason, forDays } = readTerms(request.body ?? {});
    const refuse = (fault: string) => {
      const body = hideBody({ hiding, ...scope, who: by, reason, fault });
      return sendPage(request, reply.code(400), frame, { title: titles[hiding], current, body });
    };
    if (!isVisible(reason) || reason.length > MAX_REASON) {
      return refuse(`A ${hiding === 'mute' ? 'reason' : 'note'} is needed, of up to 1,000 characters.`);
    }
    if (hiding === 'acknowledge') {
      const id = await acknowledgeDetection(operations.pool, { ...scope, reason, by });
      note(request, { acknowledgement: id, detection: scope.detection, actor: scope.actor, note: reason });
    } else {
      const id = await muteDetection(operations.pool, { ...scope, reason, forDays, by });
      if (id === undefined) return refuse('The same findings are muted already.');
      note(request, { mute: id, detection: scope.detection, actor: scope.actor, reason, days: forDays });
    }
    return reply.redirect(`${DETECTIONS_PATH}#mutes`, 303);
  };
  pages.get<Asked>('/detections/mute', { schema: hidden }, ask('mute'));
  pages.get<Asked>('/detections/acknowledge', { schema: hidden }, ask('acknowledge'));
  pages.post<Asked>('/detections/mute', { schema: hidden }, hide('mute'));
  pages.post<Asked>('/detections/acknowledge', { schema: hidden }, hide('acknowledge'));
  pages.get<{ Params: Id }>('/detections/mutes/:id/end', { schema: hidden }, async (request, reply) => {
    const body = unmuteBody(await requireMute(operations, request.params), personOf(request));
    return sendPage(request, reply, frame, { title: 'Unmute a detection', current, body });
  });
  pages.post<{ Params: Id }>('/detections/mutes/:id/end', { schema: hidden }, async (request, reply) => {
    const by = requirePerson(request);
    const { id, detection, actor } = await requireMute(operations, request.params);
    if (!(await unmuteDetection(operations.pool, id, by))) throw noSuchMute();
    note(request, { unmute: id, detection, actor });
    return reply.redirect(DETECTIONS_PATH, 303);
  });
};

interface Asked {
  readonly Querystring: Fields;
  readonly Body: Fields | undefined;
}

interface Id {
  readonly id: string;
}

const noSuchMute = (): Error => httpError(404, 'There is no such mute in force.');

const requireMute = async (operations: Operations, { id }: Id) => {
  const mute = (await readMutes(operations.pool)).find((each) => String(each.id) === id);
  if (mute === undefined) throw noSuchMute();
  return mute;
};

/** Undefined for requests that the console is open to. */
const personOf = ({ identity }: FastifyRequest): string | undefined =>
  identity?.session === true ? identity.who : undefined;

const requirePerson = (request: FastifyRequest): string => {
  const person = personOf(request);
  if (person === undefined) throw httpError(403, 'Only who has signed in may do this.');
  return person;
};

const textOf = (fields: Fields, name: string): string => {
  const text = fields[name];
  if (typeof text !== 'string') return '';
  if (text.includes('\0')) throw httpError(400, `${name} must not contain NUL.`);
  return text;
};

const readScope = async (
  { pool }: Operations,
  fields: Fields,
): Promise<{ readonly detection: string; readonly actor: string | undefined; readonly seen: number }> => {
  const detection = textOf(fields, 'detection');
  const actor = textOf(fields, 'actor');
  requireDetection(detection, await readOwnDetections(pool), 404);
  if (!canBeMuted(detection)) throw httpError(400, 'The misuse of the token of the collector cannot be muted.');
  if (actor.length > MAX_ACTOR) throw httpError(400, 'The actor is too long.');
  const seen = textOf(fields, 'seen');
  if (!/^\d{0,15}$/.test(seen)) throw httpError(400, 'seen must be a position.');
  return { detection, actor: actor === '' ? undefined : actor, seen: Number(seen) };
};

const readTerms = (fields: Fields): { readonly reason: string; readonly forDays: number | undefined } => {
  const days = textOf(fields, 'days');
  const forDays = muteSpans.find((span) => String(span) === days);
  if (days !== '' && forDays === undefined) throw httpError(400, `days must be one of ${muteSpans.join(', ')}.`);
  return { reason: textOf(fields, 'reason').trim(), forDays };
};
