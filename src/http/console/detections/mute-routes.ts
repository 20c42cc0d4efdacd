import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { AccessSource } from '../../../access/ports.ts';
import { canBeMuted, type WantedMute } from '../../../findings/mutes.sql.ts';
import { ruleNamed } from '../../../findings/rules.ts';
import { isVisible } from '../../../text/visible.ts';
import { hidden } from '../hidden.ts';
import type { OperationsSource } from '../operations/operations-source.ts';
import { type Frame, sendPage } from '../page.ts';
import { DETECTIONS_PATH } from './detection-words.ts';
import { MAX_REASON, muteBody, muteSpans, unmuteBody } from './mute-pages.ts';

const current = DETECTIONS_PATH;
const title = 'Mute a detection';
const MAX_ACTOR = 1_000;

interface MuteOptions {
  readonly operations: OperationsSource;
  readonly access: AccessSource;
}

type Fields = Readonly<Record<string, unknown>>;

const mistake = (statusCode: number, reason: string): Error => Object.assign(new Error(reason), { statusCode });

/** Muting and unmuting: each asks on a page of its own, needs a person who has signed in, and is kept in the trail of access. */
export const mutePages = (pages: FastifyInstance, frame: Frame, { operations, access }: MuteOptions): void => {
  const note = (request: FastifyRequest, what: Record<string, unknown>) =>
    access.note({
      kind: 'mute',
      outcome: 'ok',
      who: request.identity?.who,
      address: request.ip,
      route: `${request.method} ${request.routeOptions.url}`,
      status: 303,
      what,
      requests: 1,
    });
  pages.get<{ Querystring: Fields }>('/detections/mute', { schema: hidden }, (request, reply) => {
    const body = muteBody({ ...readScope(request.query), who: personOf(request) });
    return sendPage(request, reply, frame, { title, current, body });
  });
  pages.post<{ Body: Fields | undefined; Querystring: Fields }>(
    '/detections/mute',
    { schema: hidden },
    async (request, reply) => {
      const by = requirePerson(request);
      const scope = readScope(request.query);
      const { reason, forDays } = readTerms(request.body ?? {});
      const refuse = (fault: string) =>
        sendPage(request, reply.code(400), frame, {
          title,
          current,
          body: muteBody({ ...scope, who: by, reason, fault }),
        });
      if (!isVisible(reason) || reason.length > MAX_REASON)
        return refuse('A reason is needed, of up to 1,000 characters.');
      const wanted: WantedMute = { ...scope, reason, forDays, by };
      const id = await operations.mute(wanted);
      if (id === undefined) return refuse('The same findings are muted already.');
      note(request, { mute: id, detection: scope.detection, actor: scope.actor, reason, days: forDays });
      return reply.redirect(`${DETECTIONS_PATH}#mutes`, 303);
    },
  );
  pages.get<{ Params: Id }>('/detections/mutes/:id/end', { schema: hidden }, async (request, reply) => {
    const body = unmuteBody(await requireMute(operations, request.params), personOf(request));
    return sendPage(request, reply, frame, { title: 'Unmute a detection', current, body });
  });
  pages.post<{ Params: Id }>('/detections/mutes/:id/end', { schema: hidden }, async (request, reply) => {
    const by = requirePerson(request);
    const { id, detection, actor } = await requireMute(operations, request.params);
    if (!(await operations.unmute(id, by))) throw noSuchMute();
    note(request, { unmute: id, detection, actor });
    return reply.redirect(DETECTIONS_PATH, 303);
  });
};

interface Id {
  readonly id: string;
}

const noSuchMute = (): Error => mistake(404, 'There is no such mute in force.');

const requireMute = async (operations: OperationsSource, { id }: Id) => {
  const mute = (await operations.mutes()).find((each) => String(each.id) === id);
  if (mute === undefined) throw noSuchMute();
  return mute;
};

/** The name of the token of the session; undefined for requests that the console is open to. */
const personOf = ({ identity }: FastifyRequest): string | undefined =>
  identity?.session === true ? identity.who : undefined;

const requirePerson = (request: FastifyRequest): string => {
  const person = personOf(request);
  if (person === undefined) throw mistake(403, 'Only who has signed in may do this.');
  return person;
};

const textOf = (fields: Fields, name: string): string => {
  const text = fields[name];
  if (typeof text !== 'string') return '';
  if (text.includes('\0')) throw mistake(400, `${name} must not contain NUL.`);
  return text;
};

const readScope = (fields: Fields): { readonly detection: string; readonly actor: string | undefined } => {
  const detection = textOf(fields, 'detection');
  const actor = textOf(fields, 'actor');
  if (ruleNamed(detection) === undefined) throw mistake(404, 'There is no such detection.');
  if (!canBeMuted(detection)) throw mistake(400, 'The misuse of the token of the collector cannot be muted.');
  if (actor.length > MAX_ACTOR) throw mistake(400, 'The actor is too long.');
  return { detection, actor: actor === '' ? undefined : actor };
};

const readTerms = (fields: Fields): { readonly reason: string; readonly forDays: number | undefined } => {
  const days = textOf(fields, 'days');
  const forDays = muteSpans.find((span) => String(span) === days);
  if (days !== '' && forDays === undefined) throw mistake(400, `days must be one of ${muteSpans.join(', ')}.`);
  return { reason: textOf(fields, 'reason').trim(), forDays };
};
