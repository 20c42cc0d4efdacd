import { z } from 'zod';
import { OrgtrailError } from '../base/errors.ts';
import { flag, instant, operation } from '../base/operation.ts';
import { alignColumns, counted, printable, table } from '../base/text.ts';
import { formatDuration } from '../base/time.ts';
import type { OperationSource } from '../postgres/access/access-log.sql.ts';
import type { Pool } from '../postgres/pool.ts';
import { planReplay, replaySink } from '../sinks/replay.sql.ts';
import { type DeadLetterRow, readDeadLetters, readSinkStatus, type SinkStatus } from '../sinks/sink-status.sql.ts';
import { sinkState } from './source-state.ts';

const sink = z.object({
  name: z.string(),
  type: z.string(),
  target: z.string(),
  position: z.number().describe('It has everything up to it.'),
  lagEvents: z.number().describe('Events behind it.'),
  lagSeconds: z.number().describe('Age of the oldest stored event that is not delivered.'),
  delivered: z.number(),
  deadLetters: z.number(),
  skipped: z.number().describe('Events that were too old.'),
  maxAgeSeconds: z.number().nullable(),
  failures: z.number().describe('In a row, up to now.'),
  lastError: z.string().nullable(),
  lastSuccessAt: instant.nullable(),
  nextAttemptAt: instant.nullable(),
  heldBy: z.string().nullable().describe('The replica that delivers.'),
});

export const listSinks = operation({
  name: 'sink list',
  says: 'Show every sink, including those no longer configured',
  path: '/v1/sinks',
  tool: 'list_sinks',
  needs: { scope: 'search' },
  input: z.strictObject({}),
  output: z.array(sink).readonly(),
  run: ({ pool }: { readonly pool: Pool }) => readSinkStatus(pool, undefined),
  show: (sinks) => (sinks.length > 0 ? sinkTable(sinks) : 'no sink yet: set ORGTRAIL_SINKS and start `orgtrail run`\n'),
});

const letter = z.object({
  position: z.number(),
  reason: z.string(),
  refusedAt: instant,
  organizationId: z.string().nullable(),
  id: z.string().nullable().describe('Of the entry; null: it is not kept any more.'),
});

const MAX_LETTERS = 999_999_999;
const LIMIT = 'must be an integer of at least 1';

export const listDeadLetters = operation({
  name: 'sink dead-letters',
  says: 'Show the events that a sink rejected permanently, and why',
  path: '/v1/sinks/:name/dead-letters',
  tool: 'list_dead_letters',
  needs: { scope: 'search' },
  input: z.strictObject({
    name: z.string().describe('the sink'),
    limit: z.int(LIMIT).min(1, LIMIT).max(MAX_LETTERS, LIMIT).default(1_000).describe('maximum number, oldest first'),
  }),
  output: z.array(letter).readonly().describe('The oldest first.'),
  values: { limit: 'count' },
  isLines: true,
  most: { limit: 10_000 },
  run: async ({ pool }: { readonly pool: Pool }, { name, limit }) => {
    const sinks = await readSinkStatus(pool, undefined);
    if (sinks.every((each) => each.name !== name)) throw noSuchSink(name, sinks);
    return await readDeadLetters(pool, name, limit);
  },
  show: (letters) => (letters.length === 0 ? 'no dead letters\n' : letterTable(letters)),
});

export const replay = operation({
  name: 'sink replay',
  says: 'Re-send all events after a position',
  path: '/v1/sinks/:name/replay',
  tool: 'replay_sink',
  needs: { scope: 'manage' },
  help: `
The daemon continues from there within a few seconds; a delivery in progress does not undo it. Receivers that use the
idempotency keys store no event twice. Dead letters in that range are retried, too, and are removed once accepted.
Events that are older than max_age of the sink are skipped again: raise it first to send them.
Needs a DATABASE_URL of the account that owns the schema, or a daemon (--url) and a token with the scope manage. In the console
it needs a token that was made with --replay.

Examples:
  $ orgtrail sink replay siem --after 120000
  $ orgtrail sink replay siem --after 130000 --skip     skips the events in between permanently`,
  input: z.strictObject({
    name: z.string().describe('the sink'),
    after: z
      .int('must be a position')
      .min(0, 'must be a position')
      .describe('the last position that is not re-sent; 0 for everything'),
    skip: flag('allow moving forward; events in between are not sent'),
  }),
  output: z.object({
    sink: z.string(),
    after: z.number(),
    toSend: z.number().describe('Events after it.'),
    again: z.number().describe('That were sent before, at most.'),
    left: z.number().describe('That will never be sent.'),
    gone: z.number().describe('Of those to be sent, dropped by retention, at most.'),
    maxAgeSeconds: z.number().nullable().describe('Older ones are skipped.'),
  }),
  values: { after: 'position' },
  run: async (source: OperationSource, { name, after, skip }) => {
    const plan = await planReplay(source.pool, name, { after, hasArchive: source.hasArchive });
    if ('kind' in plan) {
      if (plan.kind === 'no sink') throw noSuchSink(name, plan.sinks);
      throw new OrgtrailError('usage', `the feed ends at position ${plan.head}: after must not be beyond it`);
    }
    const { sink, left } = plan;
    if (after > sink.position && skip !== true) {
      throw new OrgtrailError('usage', `${name} is at ${sink.position}: ${left} events would never be sent`, {
        hint: 'add skip (--skip) if that is intended',
      });
    }
    if (!(await replaySink(source, name, after, { skip }))) {
      throw new OrgtrailError('usage', `${name} has moved meanwhile: nothing was changed`, {
        hint: 'look at it, and try again',
      });
    }
    return { ...plan, sink: name, maxAgeSeconds: sink.maxAgeSeconds };
  },
  show: ({ sink, after, toSend, again, left, gone, maxAgeSeconds: age }) => {
    const moved = left > 0 ? `${left} will not be sent` : `${again} will be sent again`;
    const missed = gone === 0 ? '' : `; retention has dropped up to ${gone} of them`;
    const old = age === null ? '' : `; those older than ${formatDuration(age * 1_000)}, its max_age, will be skipped`;
    return `${sink} continues after ${after}: of ${toSend} events to send, ${moved}${missed}${old}\n`;
  },
});

const header = ['SINK', 'STATE', 'TYPE', 'POSITION', 'BEHIND', 'DELAY', 'DEAD LETTERS', 'SKIPPED', 'WORKER', 'TARGET'];

/** Those in trouble first, and a line for each error. */
export const sinkTable = (sinks: readonly SinkStatus[]): string => {
  const isOk = (sink: SinkStatus) => (sinkState(sink) === 'ok' ? 1 : 0);
  const ordered = sinks.toSorted((a, b) => isOk(a) - isOk(b));
  const rows = ordered.map((sink) => [
    sink.name,
    sinkState(sink),
    sink.type,
    String(sink.position),
    String(sink.lagEvents),
    formatDuration(sink.lagSeconds * 1_000),
    String(sink.deadLetters),
    String(sink.skipped),
    sink.heldBy ?? '-',
    printable(sink.target, 60),
  ]);
  const errors = ordered.flatMap(({ name, failures, lastError }) => {
    const many = failures === 0 ? '' : `${counted(failures, 'failure')} in a row, the `;
    return lastError === null ? [] : [`${name}: ${many}last error: ${printable(lastError, 300)}`];
  });
  return `${[...alignColumns([header, ...rows]), ...(errors.length > 0 ? ['', ...errors] : [])].join('\n')}\n`;
};

const letterTable = (letters: readonly DeadLetterRow[]): string => {
  const rows = letters.map((letter) => [
    String(letter.position),
    letter.refusedAt.toISOString(),
    printable(letter.organizationId ?? '-', 64),
    printable(letter.id ?? '-', 64),
    printable(letter.reason, 120),
  ]);
  return table(['POSITION', 'REFUSED AT', 'ORGANIZATION', 'ID', 'REASON'], rows);
};

const noSuchSink = (name: string, sinks: readonly SinkStatus[]): OrgtrailError =>
  new OrgtrailError('usage', `there is no sink ${JSON.stringify(name)}`, {
    hint:
      sinks.length === 0
        ? 'there is none yet: set ORGTRAIL_SINKS and start `orgtrail run`'
        : `one of ${sinks.map((sink) => sink.name).join(', ')}`,
  });

export const sinkGroup = {
  name: 'sink',
  says: 'Show sinks, replay events, list dead letters, send a test',
  help: `
Works on the database, beside a running daemon, or by a daemon (--url). docs/sinks.md has all of it.

Examples:
  $ orgtrail sink list
  $ orgtrail sink replay siem --after 0        everything once more, under the same idempotency keys
  $ orgtrail sink dead-letters siem --json | jq -r .reason`,
};
