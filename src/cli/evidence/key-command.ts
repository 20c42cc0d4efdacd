import { setTimeout as sleep } from 'node:timers/promises';
import { Command, Option } from 'commander';
import type { EvidenceConfig } from '../../app/config/config.ts';
import { publicKeysOf } from '../../app/start-evidence.ts';
import { exitCodes, OrgtrailError } from '../../base/errors.ts';
import { parseDurationMs } from '../../base/time.ts';
import { everyKey, type KeyState, keysInForce } from '../../evidence/append/keys-in-force.ts';
import { requireOrigin } from '../../evidence/builder/builder.ts';
import { createEvidenceStore } from '../../evidence/builder/evidence-store.sql.ts';
import type { StoredLogs } from '../../evidence/builder/ports.ts';
import { vkeysOf } from '../../evidence/builder/signing-keys.ts';
import { makeKeyFile, publicKeyOfFile } from '../../evidence/keys.ts';
import { orderKey, readStated } from '../../evidence/stored/orders.sql.ts';
import type { Pool } from '../../postgres/pool.ts';
import { type CliContext, recordCommand, withDatabase } from '../command.ts';
import { toldText } from './lifecycle.ts';

const help = `
The verifier keys of both logs, as policies of c2sp.org/tlog-policy have them: those of ORGTRAIL_EVIDENCE_KEY_FILE and
ORGTRAIL_EVIDENCE_NEXT_KEY_FILE that sign, or, without these settings, those that the journal in the database names. Give them to auditors on
a way of their own: a key that comes from the database proves nothing against its owner.

With --rotate, another key: a signed statement says which, why, and from when on. The command only orders it, and needs no private key: the
process that builds states it, as soon as it has the new key. So first give that process the new key beside the old one
(ORGTRAIL_EVIDENCE_NEXT_KEY_FILE), then order it. Reasons:
  rotation     both keys sign for a week (--overlap), then the new one alone
  lost         the new key signs alone, from the last checkpoint on that is known or kept at an anchor
  compromised  the same, and the journal says that the old key was stolen
Needs an account that owns the schema.

Examples:
  $ orgtrail evidence key
  $ orgtrail evidence key --rotate --reason rotation --by 'J. Doe' --new-key /run/secrets/evidence-key-2.pem
  $ orgtrail evidence key --rotate --reason lost --by 'J. Doe'`;

type Options = Partial<RotateOptions> & { readonly rotate?: boolean; readonly json?: boolean };

export const keyCommand = (context: CliContext, report: (exitCode: number) => void): Command =>
  new Command('key')
    .description('Print the public keys of the logs, or begin to sign with another key')
    .option('--rotate', 'order another key; needs --reason and --by')
    .addOption(new Option('--reason <reason>', 'why').choices(['rotation', 'lost', 'compromised']))
    .option('--by <name>', 'who orders it, for the journal')
    .option('--new-key <file>', 'the new key; without it ORGTRAIL_EVIDENCE_NEXT_KEY_FILE. It is made if there is none')
    .addOption(new Option('--overlap <duration>', 'how long both keys sign, after a rotation').argParser(overlapOf))
    .option('--no-wait', 'do not wait until it is stated and signed')
    .option('--json', 'print JSON')
    .addHelpText('after', help)
    .action(async ({ rotate, reason, by, newKey, overlap, wait = true, json }: Options) => {
      if (rotate === true) {
        if (reason === undefined || by === undefined)
          throw new OrgtrailError('usage', '--rotate needs --reason and --by: both are kept in the journal');
        return await rotateKey(context, report, { reason, by, newKey, overlap, wait, json });
      }
      if (reason !== undefined || by !== undefined || newKey !== undefined || overlap !== undefined)
        throw new OrgtrailError('usage', '--reason, --by, --new-key and --overlap are for --rotate');
      await printKeys(context, json === true);
    });

const MAX_OVERLAP_MS = 366 * 86_400_000;

const overlapOf = (text: string): number => {
  const overlapMs = parseDurationMs(text);
  if (overlapMs !== undefined && overlapMs > 0 && overlapMs <= MAX_OVERLAP_MS) return overlapMs;
  throw new OrgtrailError('usage', `--overlap ${JSON.stringify(text.slice(0, 80))} is not a duration up to 366d`);
};

const findKeys = async (pool: Pool, evidence: EvidenceConfig | undefined) => {
  const store = createEvidenceStore(pool, 'key', 0);
  const logs = await store.readLogs();
  if (logs === undefined)
    throw new OrgtrailError('usage', 'there is no log yet', { hint: 'docs/evidence.md says how to begin' });
  const { history, order } = await store.readKeys(logs.generation);
  const origins = [logs.events.origin, logs.journal.origin];
  const own = publicKeysOf(evidence).flatMap((publicKey) => vkeysOf(origins, { publicKey }));
  const { vkeys: stated, until } = keysInForce(history, logs.at);
  return { own, stated, until, order };
};

const printKeys = async (context: CliContext, isJson: boolean): Promise<void> => {
  const found = await withDatabase(context, (pool, { config }) => findKeys(pool, config.evidence));
  const { own, stated, until, order } = found;
  const signing = own.filter((vkey) => stated.includes(vkey));
  const vkeys = own.length === 0 ? stated : signing.length === 0 ? own : signing;
  if (isJson) {
    const from = own.length === 0 ? 'journal' : 'key file';
    const ordered = order && { reason: order.reason, by: order.by, vkeys: order.newVkeys };
    const shown = { vkeys, from, stated, old_signs_until: until ?? null, ordered: ordered ?? null };
    context.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
  } else context.stdout.write(vkeys.map((vkey) => `${vkey}\n`).join(''));
  const warnings = warningsOf(found, signing).map((line) => `${line}\n`);
  context.stderr.write(warnings.join(''));
};

type FoundKeys = Awaited<ReturnType<typeof findKeys>>;

const warningsOf = ({ own, stated, until, order }: FoundKeys, signing: readonly string[]): string[] => {
  const isBegun = own.length > 0 && stated.length > 0;
  const missing = stated.filter((vkey) => !own.includes(vkey));
  return [
    ...(isBegun && signing.length === 0 ? ['the journal names another key: with this one, nothing is signed'] : []),
    ...(isBegun && signing.length > 0 && missing.length > 0
      ? [`these sign as well, and are not in the settings here: ${missing.join(' ')}`]
      : []),
    ...(until === undefined ? [] : [`two keys sign until ${until}`]),
    ...(order === undefined ? [] : [`another key is ordered (${order.reason}), and no process has stated it yet`]),
  ];
};

interface RotateOptions {
  readonly reason: 'rotation' | 'lost' | 'compromised';
  readonly by: string;
  /** The file of the new key, or of its public key. */
  readonly newKey: string | undefined;
  readonly overlap: number | undefined;
  readonly wait: boolean;
  readonly json: boolean | undefined;
}

const WEEK_MS = 7 * 86_400_000;
/** A daemon that builds looks each ORGTRAIL_EVIDENCE_INTERVAL; one without the new key lets others at it for as long. */
const LEAST_WAIT_MS = 60_000;
const LOOK_EVERY_MS = 200;

/** Waits until the process that builds has stated and signed it. Throws OrgtrailError `usage` for a wrong use. */
const rotateKey = async (context: CliContext, report: (exitCode: number) => void, options: RotateOptions) => {
  const { reason, overlap, wait } = options;
  const { by } = toldText(options);
  if (overlap !== undefined && reason !== 'rotation')
    throw new OrgtrailError('usage', `--overlap is for a rotation: a key that is ${reason} signs nothing any more`);
  const result = await withDatabase(context, async (pool, { config: { evidence } }) => {
    const { id, vkeys, isMade } = await order(pool, evidence, { ...options, by });
    await recordCommand(pool, context, { kind: 'evidence', command: 'evidence key', by, what: { reason, vkeys } });
    const waitMs = wait ? Math.max(LEAST_WAIT_MS, 3 * (evidence?.intervalMs ?? 0)) : 0;
    return { reason, vkeys, isMade, ...(await untilSigned(pool, id, waitMs, context.signal)) };
  });
  const { isSigned, isMade, until, heldBy, vkeys } = result;
  const shown = { reason, vkeys, made: isMade, signed: isSigned, old_signs_until: until ?? null, held_by: heldBy };
  context.stdout.write(options.json === true ? `${JSON.stringify(shown, null, 2)}\n` : textOf(result));
  if (isSigned || !wait) return;
  context.stderr.write(
    heldBy === null
      ? 'it is ordered, and no process builds: one that has the new key states it\n'
      : `it is ordered, and ${heldBy}, which builds, has not stated it: give it the new key (ORGTRAIL_EVIDENCE_NEXT_KEY_FILE); its log says what it lacks\n`,
  );
  report(exitCodes.sourceFailed);
};

const order = async (pool: Pool, evidence: EvidenceConfig | undefined, options: RotateOptions) => {
  const { reason, overlap, by } = options;
  const store = createEvidenceStore(pool, 'key', 0);
  const logs = requireGoing(await store.readLogs());
  if (evidence !== undefined) requireOrigin(logs, evidence.base);
  const keys = await store.readKeys(logs.generation);
  const { publicKey, isMade } = newKeyOf(options, evidence);
  const vkeys = vkeysOf([logs.events.origin, logs.journal.origin], { publicKey });
  requireNew(vkeys, keys, logs, reason);
  const bothForMs = reason === 'rotation' ? (overlap ?? WEEK_MS) : 0;
  const id = await orderKey(pool, { generation: logs.generation, reason, vkeys, bothForMs, by });
  return { id, vkeys, isMade };
};

const untilSigned = async (pool: Pool, id: number, waitMs: number, signal: AbortSignal) => {
  const startedMs = performance.now();
  for (;;) {
    const stated = await readStated(pool, id);
    if (stated.isSigned || performance.now() - startedMs >= waitMs) return stated;
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
};

const requireGoing = (logs: StoredLogs | undefined): StoredLogs => {
  if (logs === undefined) {
    throw new OrgtrailError('usage', 'there is no log yet', { hint: '`orgtrail evidence init` begins it' });
  }
  const state = logs.isEnded ? 'ended' : logs.state;
  if (!['ended', 'behind', 'forked'].includes(state)) return logs;
  throw new OrgtrailError('usage', `the log is ${state}, and signs nothing any more`, {
    hint: '`orgtrail evidence fork` begins the next generation, with the key of the settings',
  });
};

const newKeyOf = ({ reason, newKey }: RotateOptions, evidence: EvidenceConfig | undefined) => {
  const { keyFile, signer, nextKeyFile, nextSigner } = evidence ?? {};
  if (newKey !== undefined) return keyIn(newKey, '--new-key', false);
  if (nextKeyFile !== undefined) return keyIn(nextKeyFile, 'ORGTRAIL_EVIDENCE_NEXT_KEY_FILE', nextSigner !== undefined);
  // After a loss or a theft, the settings name the new key.
  if (keyFile !== undefined && reason !== 'rotation')
    return keyIn(keyFile, 'ORGTRAIL_EVIDENCE_KEY_FILE', signer !== undefined);
  throw new OrgtrailError('usage', 'which key is the new one?', {
    hint: 'name its file with --new-key, or set ORGTRAIL_EVIDENCE_NEXT_KEY_FILE',
  });
};

const keyIn = (file: string, setting: string, isPublic: boolean) => {
  const isMade = !isPublic && makeKeyFile(file, setting);
  return { isMade, publicKey: publicKeyOfFile(file, setting) };
};

const requireNew = (
  vkeys: readonly string[],
  { history }: KeyState,
  { at }: StoredLogs,
  reason: RotateOptions['reason'],
): void => {
  const { vkeys: inForce, until } = keysInForce(history, at);
  const refuse = (message: string, hint: string) => {
    throw new OrgtrailError('usage', message, { hint });
  };
  if (inForce.length === 0)
    refuse('no key has signed this log yet', 'set ORGTRAIL_EVIDENCE_KEY_FILE to the key to begin with');
  const isSigning = vkeys.every((vkey) => inForce.includes(vkey));
  if (isSigning && inForce.every((vkey) => vkeys.includes(vkey)))
    refuse('this is the key that signs already', '--new-key names another file');
  if (!isSigning && vkeys.some((vkey) => everyKey(history).includes(vkey)))
    refuse('this key was replaced before, and does not come back', 'make a new one');
  if (reason === 'rotation' && until !== undefined)
    refuse(`the last rotation is not over: two keys sign until ${until}`, 'if one of them is lost or stolen, say so');
};

type Told = Awaited<ReturnType<typeof order>> & Awaited<ReturnType<typeof untilSigned>> & Pick<RotateOptions, 'reason'>;

const textOf = ({ isSigned, isMade, reason, vkeys, until }: Omit<Told, 'id'>): string => {
  const after = {
    rotation: `both keys sign until ${until ?? 'now'}; then set ORGTRAIL_EVIDENCE_KEY_FILE to the new one alone, and destroy the old one`,
    lost: 'the new key signs alone. What was signed before stays good: the public key is enough to verify it',
    compromised:
      'the new key signs alone. A checkpoint that only the old key signed counts as far as an anchor, a cosignature or a time stamp is older than the theft: tell auditors when it was',
  }[reason];
  return [
    ...(isMade ? ['made a key: keep a copy of its file, and let no process read it but the one that builds'] : []),
    isSigned ? after : 'the new key is ordered',
    'give auditors and witnesses these keys, on a way of their own:',
    ...vkeys.map((vkey) => `  ${vkey}`),
    '',
  ].join('\n');
};
