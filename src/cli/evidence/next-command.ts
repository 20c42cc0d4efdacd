import { Command } from 'commander';
import { publicKeysOf } from '../../app/start-evidence.ts';
import { OrgtrailError, reasonOf } from '../../base/errors.ts';
import { version } from '../../base/package-files.ts';
import { counted } from '../../base/text.ts';
import { everyKey, keysInForce } from '../../evidence/append/keys-in-force.ts';
import { createEvidenceStore, readKeyHistory } from '../../evidence/builder/evidence-store.sql.ts';
import type { StoredLog } from '../../evidence/builder/ports.ts';
import { vkeyOf } from '../../evidence/builder/signing-keys.ts';
import { EvidenceFault } from '../../evidence/bytes.ts';
import { openKnownNote, readConfiguredAnchors } from '../../evidence/generations/known-checkpoints.ts';
import { isInTree, type NextLog, nextLog, requireStopped } from '../../evidence/generations/next-log.ts';
import type { Pool } from '../../postgres/pool.ts';
import { type CliContext, recordCommand, withDatabase } from '../command.ts';
import { collect, type EvidenceWithKey, readInput, requireEvidence, toldText } from './lifecycle.ts';

const help = `
For a log that is behind, and for one that was ended: it signs nothing any more, and the next log goes on with its tree, under the next number. Its
first leaf is signed, and says why, who ordered it, the last known checkpoint of the old log, how many leaves are certain to be the same, and so
what is lost. The anchors of the settings are read; give each other checkpoint that was kept outside the database with --anchor. An anchor that
cannot be read stops the command, unless --without-anchor names it.
Legal holds that the old log has, in the database or at an anchor, and that are not here stop it as well: add them again, and go on without the
old ones (--without-holds). A checkpoint that an auditor has kept of what is lost is a fault in every later bundle, whatever this says.
The daemon then states what happened since, and signs. Nothing is hashed again and nothing is deleted. Needs an account that owns the schema.

Examples:
  $ orgtrail evidence next --reason 'restored from the backup of 3 May' --by 'J. Doe'
  $ orgtrail evidence next --reason 'failover to a standby that was behind' --by 'J. Doe' --anchor last-checkpoint --json`;

interface Options {
  readonly reason: string;
  readonly by: string;
  readonly anchor: readonly string[];
  readonly withoutAnchor: readonly string[];
  readonly withoutHolds?: boolean;
  readonly json?: boolean;
}

export const nextCommand = (context: CliContext): Command =>
  new Command('next')
    .description('Begin the next log after one that cannot go on')
    .requiredOption('--reason <text>', 'what happened, for the log')
    .requiredOption('--by <name>', 'who orders it, for the log')
    .option('--anchor <file>', 'a checkpoint that was kept elsewhere; may be repeated', collect, [])
    .option(
      '--without-anchor <name>',
      'an anchor that cannot be read, as the status names it; may be repeated',
      collect,
      [],
    )
    .option('--without-holds', 'go on although legal holds of the old log are not here')
    .option('--json', 'print JSON')
    .addHelpText('after', help)
    .action(async (options: Options) => {
      const { reason, by } = toldText(options);
      const begun = await withDatabase(context, async (pool, { config }) => {
        const made = await begin(pool, requireEvidence(config.evidence), { ...options, reason, by });
        const holds = made.lostHolds.map(({ id, done_at }) => ({ id, created_at: done_at }));
        const without = holds.length > 0 && { without_holds: holds };
        const what = { number: made.number, reason, carried: made.carried, lost: made.lost, ...without };
        await recordCommand(pool, context, { kind: 'evidence', command: 'evidence next', by, what });
        return made;
      });
      context.stdout.write(
        options.json === true ? `${JSON.stringify(shown(begun), null, 2)}\n` : lines(begun).join('\n'),
      );
    });

const begin = async (
  pool: Pool,
  evidence: EvidenceWithKey,
  { reason, by, anchor, withoutAnchor, withoutHolds = false }: Options,
): Promise<NextLog & { readonly vkey: string }> => {
  const store = createEvidenceStore(pool, 'next', 0);
  const log = requireStopped(await store.readLog());
  const { base } = evidence;
  const keys = await readKeyHistory(pool);
  const publicKey = keyOfNext(keys, log, evidence);
  const publicKeys = [publicKey, ...everyKey(keys).map((key) => Buffer.from(key, 'hex'))];
  const of = { base, feedId: log.feedId, number: log.number };
  const given = anchor.map((file) => readKept(file, of, publicKeys));
  try {
    const { notes, statements } = await readConfiguredAnchors(pool, evidence, withoutAnchor, {
      ...of,
      publicKeys,
      isHeld: (known) => isInTree(store, log.size, known),
    });
    const known = [...given, ...notes];
    const options = { base, publicKey, keys, version, reason, by, known, statements, withoutHolds };
    const begun = await nextLog(pool, store, options);
    return { ...begun, vkey: vkeyOf(begun.origin, publicKey) };
  } catch (error) {
    if (!(error instanceof EvidenceFault)) throw error;
    throw new OrgtrailError('evidence_fails', `the stored log is damaged: ${error.message}`, { cause: error });
  }
};

/** The key that signs, or one that never did. */
const keyOfNext = (keys: Parameters<typeof keysInForce>[0], { at }: StoredLog, evidence: EvidenceWithKey): Buffer => {
  const own = publicKeysOf(evidence);
  const { key } = keysInForce(keys, at);
  const signing = own.find((one) => one.toString('hex') === key);
  const publicKey = signing ?? own.find((one) => !everyKey(keys).includes(one.toString('hex')));
  if (publicKey !== undefined) return publicKey;
  const message = `the key of this process was replaced before ${at}: the next log begins with the one that signs`;
  throw new OrgtrailError('configuration', message, { hint: '`orgtrail evidence key` names it' });
};

const readKept = (file: string, of: Parameters<typeof openKnownNote>[1], keys: readonly Uint8Array[]) => {
  try {
    return openKnownNote(readInput(file), of, ...keys);
  } catch (error) {
    if (!(error instanceof EvidenceFault)) throw error;
    throw new OrgtrailError('usage', `--anchor ${file}: ${reasonOf(error)}`);
  }
};

type Begun = Awaited<ReturnType<typeof begin>>;

const shown = (begun: Begun) => ({
  number: begun.number,
  old_origin: begun.oldOrigin,
  origin: begun.origin,
  vkey: begun.vkey,
  carried: begun.carried,
  known_size: begun.knownSize,
  lost_leaves: begun.lost,
  previous: begun.previous,
  lost_holds: begun.lostHolds.map(({ id, reason, done_at }) => ({ id, reason, created_at: done_at })),
  tell_auditors: auditorsNeed(begun),
});

const leaves = (count: number): string => counted(count, 'leaf').replace('leafs', 'leaves');

const auditorsNeed = ({ oldOrigin, origin, carried, knownSize, lost }: Begun): string[] => [
  `${oldOrigin} signs nothing any more. ${origin} goes on with the key below; give it on a way of its own.`,
  lost === 0
    ? `All ${leaves(carried)} of the last known checkpoint are in the next log. If an auditor has a later one, what it says of the leaves after these is lost.`
    : `The old log had ${leaves(knownSize)} at least: ${leaves(lost)} after the first ${carried} are lost or changed. Keep its checkpoints: they prove that, and no later bundle holds against them.`,
  'Events that were lost and that Cloudflare still serves are stored again, at other positions.',
];

const lines = (begun: Begun): string[] => [
  `log ${begun.number} begins; ${leaves(begun.carried)} are certain to be those of the old log, and ${leaves(begun.lost)} are known to be lost`,
  ...begun.lostHolds.map(({ id, reason }) => `hold ${id} is lost: ${reason}`),
  'the daemon states what happened since, and signs; tell auditors:',
  ...auditorsNeed(begun).map((line) => `  ${line}`),
  `  ${begun.vkey}`,
  '',
];
