import { Command } from 'commander';
import { publicKeysOf } from '../../app/start-evidence.ts';
import { OrgtrailError, reasonOf } from '../../base/errors.ts';
import { version } from '../../base/package-files.ts';
import { counted } from '../../base/text.ts';
import { bytesOfKeys, everyKey, everyKeySoFar } from '../../evidence/append/keys-in-force.ts';
import { createEvidenceStore, readKeyHistory } from '../../evidence/builder/evidence-store.sql.ts';
import type { StoredLogs } from '../../evidence/builder/ports.ts';
import { vkeysOf } from '../../evidence/builder/signing-keys.ts';
import { EvidenceFault } from '../../evidence/bytes.ts';
import { createGenerationStore } from '../../evidence/generations/end-log.sql.ts';
import { type Fork, forkLog, requireStopped, rootAt } from '../../evidence/generations/fork-log.ts';
import { openKnownNote, readConfiguredAnchors } from '../../evidence/generations/known-checkpoints.ts';
import type { Pool } from '../../postgres/pool.ts';
import { type CliContext, recordCommand, withDatabase } from '../command.ts';
import { drawLine } from '../output/terminal.ts';
import { collect, type EvidenceWithKey, readInput, requireEvidence, toldText } from './lifecycle.ts';

const help = `
For a log that is behind or forked, and for one that was ended: it signs nothing any more, and the next generation goes on with its tree,
under the next name. Its journal begins with the fork: the reason, who ordered it, the last known checkpoint of the old log, and how many
leaves are certain to be the same. That is what the largest known checkpoint says: the anchors of the settings are read; give each other one that
was kept outside the database with --anchor. An anchor that cannot be read stops the command, unless --without-anchor names it.
Legal holds that the old journal has, in the database or at an anchor, and that are not here stop it as well: add them again, or go on
without them (--without-holds). So does an anchor that lacks the text of statements that were signed: a hold may be among them.
The daemon then states what happened before once more, and signs. Nothing is hashed again and nothing is deleted. If the command is
interrupted, repeat it. Needs an account that owns the schema.

Examples:
  $ orgtrail evidence fork --reason 'restored from the backup of 3 May' --by 'J. Doe'
  $ orgtrail evidence fork --reason 'failover to a standby that was behind' --by 'J. Doe' --anchor last-checkpoint --json`;

interface Options {
  readonly reason: string;
  readonly by: string;
  readonly anchor: readonly string[];
  readonly withoutAnchor: readonly string[];
  readonly withoutHolds?: boolean;
  readonly json?: boolean;
}

export const forkCommand = (context: CliContext): Command =>
  new Command('fork')
    .description('Begin the next generation of a log that cannot go on')
    .requiredOption('--reason <text>', 'what happened, for the journal')
    .requiredOption('--by <name>', 'who orders it, for the journal')
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
      const fork = await withDatabase(context, async (pool, { config }) => {
        const evidence = requireEvidence(config.evidence);
        const made = await forkStored(pool, context, evidence, { ...options, reason, by });
        const lost = made.lostHolds.map(({ id, created_at }) => ({ id, created_at }));
        const { generation, common } = made;
        const without = lost.length > 0 && { without_holds: lost };
        const what = { generation, reason, common_size: common.size, ...without };
        await recordCommand(pool, context, { kind: 'evidence', command: 'evidence fork', by, what });
        return made;
      });
      const text = options.json === true ? `${JSON.stringify(shown(fork), null, 2)}\n` : forkText(fork);
      context.stdout.write(text);
    });

const forkStored = async (
  pool: Pool,
  context: CliContext,
  evidence: EvidenceWithKey,
  { reason, by, anchor, withoutAnchor, withoutHolds = false, json }: Options,
): Promise<Fork> => {
  const store = createEvidenceStore(pool, 'fork', 0);
  const logs = requireStopped(await store.readLogs());
  const { base } = evidence;
  const { publicKey, keys } = await keysOfFork(pool, logs, evidence);
  const publicKeys = [publicKey, ...bytesOfKeys(everyKeySoFar(keys))];
  const given = anchor.map((file) => readKept(file, logs, base, publicKeys));
  const anchored = await readConfiguredAnchors(pool, evidence, withoutAnchor, {
    base,
    feedId: logs.feedId,
    generation: logs.generation,
    publicKeys,
    isHeld: async ({ size, root }) => size <= logs.events.size && (await rootAt(store, logs, size)).equals(root),
  });
  const kept = [...given, ...anchored.notes];
  const { statements, signedStatements, readStatements } = anchored;
  const unread = signedStatements - Math.max(readStatements, logs.journal.size);
  if (unread > 0 && !withoutHolds) {
    const message = `no anchor has the text of the last ${counted(unread, 'statement')} that was signed`;
    throw new OrgtrailError('usage', message, {
      hint: 'a legal hold may be among them: compare `orgtrail hold list` with your own records, then repeat this with --without-holds',
    });
  }
  let copied = '';
  const { draw, finish } = drawLine({ ...context, stdout: context.stderr }, () => copied);
  const onCopied = (tiles: number, of: number) => {
    copied = `copied ${counted(tiles, 'tile')} of ${of.toLocaleString('en')}`;
    if (json !== true) draw(false);
  };
  const generations = createGenerationStore(pool);
  try {
    const options = { store, generations, base, publicKey, keys, version, reason, by, kept, statements, withoutHolds };
    const fork = await forkLog({ ...options, onCopied });
    if (json !== true && fork.size > 0) finish();
    return fork;
  } catch (error) {
    if (!(error instanceof EvidenceFault)) throw error;
    throw new OrgtrailError('evidence_fails', `the stored log is damaged: ${error.message}`, { cause: error });
  }
};

/** The next generation begins with the key that signs, alone; what was signed by those before it counts as well. */
const keysOfFork = async (pool: Pool, { generation, events, journal, at }: StoredLogs, evidence: EvidenceWithKey) => {
  const history = await readKeyHistory(pool, generation);
  const own = publicKeysOf(evidence);
  const newest = history.changes.at(-1)?.new_vkeys ?? history.first;
  const vkeys = (publicKey: Buffer) => vkeysOf([events.origin, journal.origin], { publicKey });
  const isOneOf = (publicKey: Buffer, stated: readonly string[]) =>
    vkeys(publicKey).every((vkey) => stated.includes(vkey));
  const signing = own.find((publicKey) => isOneOf(publicKey, newest));
  const publicKey = signing ?? own.find((key) => !isOneOf(key, everyKey(history)));
  if (publicKey === undefined) {
    const message = `the key of this process was replaced before ${at}: the next generation begins with the one that signs`;
    throw new OrgtrailError('configuration', message, { hint: '`orgtrail evidence key` names it' });
  }
  return { publicKey, keys: history };
};

const readKept = (file: string, { feedId, generation }: StoredLogs, base: string, keys: readonly Uint8Array[]) => {
  try {
    return openKnownNote(readInput(file), { base, feedId, generation }, ...keys);
  } catch (error) {
    if (!(error instanceof EvidenceFault)) throw error;
    throw new OrgtrailError('usage', `--anchor ${file}: ${reasonOf(error)}`);
  }
};

/** What is known to be lost: it may be more. */
const lostLeaves = ({ knownSize, common }: Fork): number => Math.max(0, knownSize - common.size);

const shown = (fork: Fork) => ({
  generation: fork.generation,
  old_origin: fork.oldOrigin,
  origin: fork.origin,
  vkeys: fork.vkeys,
  size: fork.size,
  common_size: fork.common.size,
  common_root: fork.common.root.toString('base64'),
  known_size: fork.knownSize,
  lost_leaves: lostLeaves(fork),
  last_note: fork.lastNote,
  lost_holds: fork.lostHolds.map(({ id, reason, created_at }) => ({ id, reason, created_at })),
  tell_auditors: auditorsNeed(fork),
});

const auditorsNeed = (fork: Fork): string[] => {
  const { oldOrigin, origin, common, knownSize } = fork;
  const lost = lostLeaves(fork);
  return [
    `${oldOrigin} signs nothing any more. ${origin} goes on with the keys below; give them on a way of their own.`,
    `The first ${common.size} leaves are those of the old log, with the root ${common.root.toString('base64')}. A checkpoint of the old log with ${common.size} leaves or fewer holds for the new one.`,
    lost === 0
      ? 'No checkpoint of the old log with more leaves is known here. If an auditor has one, what it says of the leaves after these is lost.'
      : `The old log had ${knownSize} leaves at least: ${counted(lost, 'leaf').replace('leafs', 'leaves')} after these are lost or changed. Keep the checkpoints of the old log: they prove that.`,
    'Events that were lost and that Cloudflare still serves are stored again, at other positions.',
  ];
};

const forkText = (fork: Fork): string =>
  [
    `generation ${fork.generation} begins with ${fork.size} leaves; ${fork.common.size} are certain to be those of the old log`,
    'the daemon states what happened before, and signs; tell auditors:',
    ...auditorsNeed(fork).map((line) => `  ${line}`),
    ...fork.vkeys.map((vkey) => `  ${vkey}`),
    '',
  ].join('\n');
