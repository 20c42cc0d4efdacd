import type { FastifyInstance } from 'fastify';
import { SearchError } from '../../../errors.ts';
import { severities } from '../../../findings/finding.ts';
import { ruleNamed } from '../../../findings/rules.ts';
import type { StreamLimits } from '../../../limits/stream-limits.ts';
import type { SearchSource } from '../../../search/ports.ts';
import { instantOfBound, readSearch } from '../../../search/search.ts';
import { unknownParameter } from '../../../text/nearest.ts';
import { beginsGiving } from '../../access-trail.ts';
import { goneSignal, inPlace } from '../../gone-signal.ts';
import { withIds } from '../../search/answer.ts';
import { hidden } from '../hidden.ts';
import type { OperationsSource } from '../operations/operations-source.ts';
import { type Frame, sendPage } from '../page.ts';
import { DETECTIONS_PATH } from './detection-words.ts';
import { detectionsBody } from './detections-page.ts';
import { type DetectionsGiven, type DetectionsView, MAX_PAGE, PAGE_SIZE } from './detections-view.ts';

/** The views look through all of their time. */
const DEFAULT_SINCE = '24h';
const parameters = ['since', 'before', 'organization', 'severity', 'detection', 'muted', 'page'];

type Query = Readonly<Record<string, unknown>>;

interface DetectionsOptions {
  readonly operations: OperationsSource;
  readonly search: SearchSource;
  readonly streams: StreamLimits;
}

const mistake = (reason: string): Error => Object.assign(new Error(reason), { statusCode: 400 });

/** `/detections`: what the detections find, and what each means. */
export const detectionPages = (pages: FastifyInstance, frame: Frame, options: DetectionsOptions): void => {
  pages.get<{ Querystring: Query }>(
    DETECTIONS_PATH,
    { schema: hidden, config: { trail: 'search' } },
    (request, reply) =>
      inPlace(options.streams, reply, async () => {
        const view = await readView(options, request.query, goneSignal(reply));
        beginsGiving(request, view.list?.findings.length);
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
  const nowMs = Date.now();
  const { since, before, organization } = given;
  const bounds = { since: since === '' ? DEFAULT_SINCE : since, before, organization };
  const reading = await withIds(source, readSearch(bounds, nowMs));
  const page = readPage(query['page']);
  const view = {
    given: { ...given, since: bounds.since },
    page,
    nowMs,
    organizations: await source.organizations(),
    mutes: await operations.mutes(),
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
      showMuted: given.muted === 'shown',
      limit: PAGE_SIZE,
      offset: (page - 1) * PAGE_SIZE,
    };
    return { ...view, faults, list: await operations.findings(asked, signal), failure: undefined };
  } catch (error) {
    if (!(error instanceof SearchError)) throw error;
    return { ...view, faults, list: undefined, failure: error.message };
  }
};

/** Throws for what is misspelt: it would mean all of them. */
const readGiven = (query: Query): DetectionsGiven => {
  const unknown = Object.keys(query).find((name) => !parameters.includes(name));
  if (unknown !== undefined) throw mistake(`${unknownParameter(unknown, parameters)}.`);
  const text = (name: string): string => (typeof query[name] === 'string' ? query[name].trim() : '');
  const [severity, detection] = [text('severity'), text('detection')];
  if (severity !== '' && !severities.some((known) => known === severity)) {
    throw mistake(`severity must be one of ${severities.join(', ')}.`);
  }
  if (detection !== '' && ruleNamed(detection) === undefined) throw mistake('There is no such detection.');
  return {
    since: text('since'),
    before: text('before'),
    organization: text('organization'),
    severity,
    detection,
    muted: text('muted') === 'shown' ? 'shown' : '',
  };
};

const readPage = (text: unknown): number => {
  const page = typeof text === 'string' && /^[1-9]\d?$/.test(text) ? Number(text) : 1;
  return Math.min(page, MAX_PAGE);
};
