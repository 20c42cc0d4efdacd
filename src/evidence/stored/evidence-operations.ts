import { z } from 'zod';
import { exitCodes } from '../../base/errors.ts';
import { instant, operation } from '../../base/operation.ts';
import { alignColumns, counted } from '../../base/text.ts';
import { formatDuration } from '../../base/time.ts';
import type { Pool } from '../../postgres/pool.ts';
import { anchorStatus, isStopped, isUnanchored, readEvidenceStatus, requireCheckpoint } from './evidence-status.sql.ts';

const root = z.string().describe('Base64.');
const status = z.object({
  number: z.number().describe('Of the log, from 1: the next one begins if a log cannot go on.'),
  origin: z.string(),
  state: z.string().describe('building, ok, behind, halted, no key or ended.'),
  stateReason: z.string().nullable(),
  size: z.number().describe('Leaves: events and statements.'),
  root,
  lagEvents: z.number().describe('Stored events that are no leaf yet.'),
  adoptedPosition: z.number().describe('Events up to it were stored before the log began.'),
  keyOrdered: z.string().nullable().describe('Why another key is ordered that no process has stated yet.'),
  oldKeyUntil: z.string().nullable().describe('The key before may sign until then.'),
  signedSize: z.number().nullable(),
  signedPosition: z.number().nullable().describe('Events up to it are under the last checkpoint.'),
  signedSecondsAgo: z.number().nullable().describe('Null: nothing is signed yet.'),
  heldBy: z.string().nullable().describe('The process that builds.'),
  statedSecondsAgo: z.number().nullable().describe('Since the newest statement of coverage.'),
  unstatedSources: z.number(),
  overdueSources: z.number().nullable().describe('Null: the process that builds has not said how often it states.'),
  heldBack: z.number().describe('Sources with time that is covered and not stated: no request is recorded for it.'),
  verifiedSecondsAgo: z
    .number()
    .nullable()
    .describe('Since the block that was not compared for longest was compared with the log; null: not all were yet.'),
  verificationFaults: z.number().describe('What is stored and is not what was signed.'),
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
const checkpoint = z.object({ origin: text, number: int, size: int, root, note: text, made_at: instant });

export const listCheckpoints = operation({
  name: 'evidence checkpoint',
  says: 'Print the newest signed checkpoint',
  path: '/v1/evidence/checkpoints',
  tool: 'list_checkpoints',
  needs: { scope: 'search' },
  help: `
A signed note of c2sp.org/tlog-checkpoint, byte for byte. Keep it outside of this database: \`orgtrail evidence verify --anchor\` compares with
it, and no history that was rewritten since agrees.

Examples:
  $ orgtrail evidence checkpoint > checkpoint-of-june`,
  input: z.strictObject({}),
  output: z.array(checkpoint).readonly().describe('One. `note` is of c2sp.org/tlog-checkpoint.'),
  run: async ({ pool }: { readonly pool: Pool }) => {
    const { root: bytes, madeAt, ...one } = await requireCheckpoint(pool);
    return [{ ...one, root: bytes.toString('base64'), made_at: madeAt }];
  },
  show: (found) => found.map(({ note }) => note).join(''),
});

const statusText = (status: Status): string => {
  const { signedSize, signedSecondsAgo, stateReason, heldBy } = status;
  const signed =
    signedSize === null ? 'nothing yet' : `${signedSize} leaves, ${Math.round(signedSecondsAgo ?? 0)} s ago`;
  const rows = [
    ['log', status.origin],
    ['state', stateReason === null ? status.state : `${status.state}: ${stateReason}`],
    ['leaves', `${status.size}, ${status.lagEvents} events behind`],
    ['root', status.root],
    ['signed', signed],
    ['coverage', coverageText(status)],
    ['verified', verifiedText(status)],
    ['adopted', status.adoptedPosition === 0 ? 'nothing' : `events up to position ${status.adoptedPosition}`],
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
  ...(oldKeyUntil === null ? [] : [['keys', `the one before may sign until ${oldKeyUntil}`]]),
];

const anchorRows = (status: Status): string[][] => {
  const unanchored = 'unanchored: the owner of database and key could rewrite all of it';
  const rows = status.anchors.map(({ anchor, isConfigured, size, secondsAgo, error }) => {
    const kept = size === null ? 'nothing yet' : `${size} leaves, ${Math.round(secondsAgo ?? 0)} s ago`;
    const fails = error !== null && isConfigured ? `; fails: ${error}` : '';
    return ['anchor', `${anchor}: ${kept}${fails}${isConfigured ? '' : '; not in the settings any more'}`];
  });
  return status.unanchored ? [...rows, ['anchors', unanchored]] : rows;
};

const verifiedText = ({ verifiedSecondsAgo: ago, verificationFaults: faults }: Status): string =>
  `${ago === null ? 'not all of it yet' : `all of it within ${formatDuration(ago * 1_000)}`}; ${counted(faults, 'fault')}`;

const coverageText = ({ statedSecondsAgo, unstatedSources, overdueSources, heldBack }: Status): string => {
  const last = statedSecondsAgo === null ? 'not stated yet' : `last stated ${Math.round(statedSecondsAgo)} s ago`;
  const never = unstatedSources === 0 ? '' : `; ${unstatedSources} sources never`;
  return `${last}${never}${overdueSources ? `; ${overdueSources} sources are overdue` : ''}${heldBack ? `; of ${heldBack} not all that is covered, since no request is recorded for it` : ''}`;
};
