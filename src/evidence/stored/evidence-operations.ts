import { z } from 'zod';
import { exitCodes, OrgtrailError } from '../../base/errors.ts';
import { instant, operation } from '../../base/operation.ts';
import { alignColumns } from '../../base/text.ts';
import type { Pool } from '../../postgres/pool.ts';
import {
  anchorStatus,
  isStopped,
  isUnanchored,
  readEvidenceStatus,
  readNewestCheckpoints,
} from './evidence-status.sql.ts';

const root = z.string().describe('Base64.');
const status = z.object({
  generation: z.number(),
  origin: z.string(),
  state: z.string().describe('building, ok, behind, forked, halted or ended.'),
  stateReason: z.string().nullable(),
  size: z.number(),
  root,
  lagEvents: z.number().describe('Stored events that are no leaf yet.'),
  adoptedSize: z.number().describe('Events that were stored before the log began.'),
  keyOrdered: z.string().nullable().describe('Why another key is ordered that no process has stated yet.'),
  oldKeyUntil: z.string().nullable().describe('Two keys sign until then.'),
  signedSize: z.number().nullable(),
  signedSecondsAgo: z.number().nullable().describe('Null: nothing is signed yet.'),
  heldBy: z.string().nullable().describe('The process that builds.'),
  statements: z.number(),
  statedSecondsAgo: z.number().nullable().describe('Since the newest statement of coverage.'),
  unstatedSources: z.number(),
  overdueSources: z.number().nullable().describe('Null: the process that builds has not said how often it states.'),
  anchors: z.array(anchorStatus).readonly(),
  unanchored: z.boolean().describe('The owner of database and key could rewrite all of it.'),
});
type Status = z.output<typeof status>;

export const showEvidence = operation({
  name: 'evidence status',
  says: 'Show how the log stands',
  path: '/v1/evidence',
  tool: 'get_evidence_status',
  needs: { scope: 'search' },
  help: '\nExit code 5 if nothing is signed any more.',
  input: z.strictObject({}),
  output: status.nullable().describe('Null: there is no evidence.'),
  run: async ({ pool }: { readonly pool: Pool }) => {
    const found = await readEvidenceStatus(pool);
    return found === undefined
      ? null
      : { ...found, root: found.root.toString('base64'), unanchored: isUnanchored(found) };
  },
  show: (found) => (found === null ? 'no evidence yet: docs/evidence.md\n' : statusText(found)),
  exitCode: (found) => (found !== null && isStopped(found) ? exitCodes.evidenceFails : exitCodes.done),
});

const [text, int] = [z.string(), z.number()];
const log = z.enum(['events', 'journal'], 'must be events or journal');
const checkpoint = z.object({ log, origin: text, size: int, note: text, generation: int, root, made_at: instant });

export const listCheckpoints = operation({
  name: 'evidence checkpoint',
  says: 'Print the newest signed checkpoints',
  path: '/v1/evidence/checkpoints',
  tool: 'list_checkpoints',
  needs: { scope: 'search' },
  help: `
A signed note of c2sp.org/tlog-checkpoint. Keep it outside of this database: \`orgtrail evidence verify --anchor\` compares with it, and no
history that was rewritten since agrees. Of both logs, unless --log names one: then the output is the note, byte for byte.

Examples:
  $ orgtrail evidence checkpoint
  $ orgtrail evidence checkpoint --log events > checkpoint-of-june`,
  input: z.strictObject({ log: log.optional().describe('of this log alone: events or journal') }),
  output: z.array(checkpoint).readonly().describe('That of the events first. `note` is of c2sp.org/tlog-checkpoint.'),
  values: { log: 'name' },
  run: async ({ pool }: { readonly pool: Pool }, { log: wanted }) => {
    const found = (await readNewestCheckpoints(pool)).filter((one) => wanted === undefined || one.log === wanted);
    if (found.length > 0)
      return found.map(({ root, madeAt, ...one }) => ({ ...one, root: root.toString('base64'), made_at: madeAt }));
    throw new OrgtrailError('usage', 'no checkpoint is signed yet', { hint: 'docs/evidence.md says how to begin' });
  },
  show: (found) => found.map(({ note }) => note).join('\n'),
});

const statusText = (status: Status): string => {
  const { signedSize, signedSecondsAgo, stateReason, heldBy } = status;
  const signed =
    signedSize === null ? 'nothing yet' : `${signedSize} events, ${Math.round(signedSecondsAgo ?? 0)} s ago`;
  const rows = [
    ['log', status.origin],
    ['state', stateReason === null ? status.state : `${status.state}: ${stateReason}`],
    ['leaves', `${status.size}, ${status.lagEvents} behind; ${status.statements} statements`],
    ['root', status.root],
    ['signed', signed],
    ['coverage', coverageText(status)],
    ['adopted', `${status.adoptedSize} events were there before`],
    ['built by', heldBy ?? 'none at the moment'],
    ...keyRows(status),
    ...anchorRows(status),
  ];
  return `${alignColumns(rows).join('\n')}\n`;
};

const keyRows = ({ keyOrdered, oldKeyUntil }: Status): string[][] => [
  ...(keyOrdered === null
    ? []
    : [['key', `another one is ordered (${keyOrdered}): no process that has it has stated it yet`]]),
  ...(oldKeyUntil === null ? [] : [['keys', `two sign until ${oldKeyUntil}`]]),
];

const anchorRows = (status: Status): string[][] => {
  const unanchored = 'unanchored: the owner of database and key could rewrite all of it';
  const rows = status.anchors.map(({ anchor, isConfigured, size, secondsAgo, error }) => {
    const kept = size === null ? 'nothing yet' : `${size} events, ${Math.round(secondsAgo ?? 0)} s ago`;
    const fails = error !== null && isConfigured ? `; fails: ${error}` : '';
    return ['anchor', `${anchor}: ${kept}${fails}${isConfigured ? '' : '; not in the settings any more'}`];
  });
  return status.unanchored ? [...rows, ['anchors', unanchored]] : rows;
};

const coverageText = ({ statedSecondsAgo, unstatedSources, overdueSources }: Status): string => {
  const last = statedSecondsAgo === null ? 'not stated yet' : `last stated ${Math.round(statedSecondsAgo)} s ago`;
  const never = unstatedSources === 0 ? '' : `; ${unstatedSources} sources never`;
  return `${last}${never}${overdueSources ? `; ${overdueSources} sources are overdue` : ''}`;
};
