import { z } from 'zod';
import { OrgtrailError } from '../base/errors.ts';
import { instant, operation } from '../base/operation.ts';
import { alignColumns, counted, printable, table } from '../base/text.ts';
import { formatDuration } from '../base/time.ts';
import type { Pool } from '../postgres/pool.ts';
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

export const noSuchSink = (name: string, sinks: readonly SinkStatus[]): OrgtrailError =>
  new OrgtrailError('usage', `there is no sink ${JSON.stringify(name)}`, {
    hint:
      sinks.length === 0
        ? 'there is none yet: set ORGTRAIL_SINKS and start `orgtrail run`'
        : `one of ${sinks.map((sink) => sink.name).join(', ')}`,
  });
