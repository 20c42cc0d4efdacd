import { setTimeout as sleep } from 'node:timers/promises';
import { Command, Option } from 'commander';
import type { EvidenceConfig } from '../../app/config/config.ts';
import { publicKeysOf } from '../../app/start-evidence.ts';
import { exitCodes, OrgtrailError } from '../../base/errors.ts';
import { parseDurationMs } from '../../base/time.ts';
import { everyKey, type KeyState, keysInForce } from '../../evidence/append/keys-in-force.ts';
import { requireOrigin } from '../../evidence/builder/builder.ts';
import { createEvidenceStore } from '../../evidence/builder/evidence-store.sql.ts';
import type { StoredLog } from '../../evidence/builder/ports.ts';
import { vkeyOf } from '../../evidence/builder/signing-keys.ts';
import { makeKeyFile, publicKeyOfFile } from '../../evidence/keys.ts';
import { orderKey, readStated } from '../../evidence/stored/orders.sql.ts';
import type { Pool } from '../../postgres/pool.ts';
import { type CliContext, recordCommand, withDatabase } from '../command.ts';
import { toldText } from './lifecycle.ts';

const help = `
The verifier key of the log, as policies of c2sp.org/tlog-policy have it: that of ORGTRAIL_EVIDENCE_KEY_FILE or ORGTRAIL_EVIDENCE_NEXT_KEY_FILE
that signs, or, without these settings, the one that the log in the database names. Give it to auditors on a way of its own: a key that comes
from the database proves nothing against its owner.

With --rotate, another key: a signed statement says which, why, and from when on. The command only orders it, and needs no private key: the
process that builds states it, as soon as it has the new key. So first give that process the new key beside the old one
(ORGTRAIL_EVIDENCE_NEXT_KEY_FILE), then order it. Reasons:
  rotation     the new key signs; for a week (--overlap) the old one may sign beside it
  lost         the new key signs alone, from the last checkpoint on that is known or kept at an anchor
  compromised  the same, and the log says that the old key was stolen
Needs an account that owns the schema.

Examples:
  $ orgtrail evidence key
  $ orgtrail evidence key --rotate --reason rotation --by 'J. Doe' --new-key /run/secrets/evidence-key-2.pem
  $ orgtrail evidence key --rotate --reason lost --by 'J. Doe'`;

type Options = Partial<RotateOptions> & { readonly rotate?: boolean; readonly json?: boolean };

export const keyCommand = (context: CliContext, report: (exitCode: number) => void): Command =>
  new Command('key')
    .description('Print the public key of the log, or begin to sign with another key')
    .option('--rotate', 'order another key; needs --reason and --by')
    .addOption(new Option('--reason <reason>', 'why').choices(['rotation', 'lost', 'compromised']))
    .option('--by <name>', 'who orders it, for the log')
    .option('--new-key <file>', 'the new key; without it ORGTRAIL_EVIDENCE_NEXT_KEY_FILE. It is made if there is none')
    .addOption(
      new Option('--overlap <duration>', 'how long the old key may sign as well, after a rotation').argParser(
        overlapOf,
      ),
    )
    .option('--no-wait', 'do not wait until it is stated and signed')
    .option('--json', 'print JSON')
    .addHelpText('after', help)
    .action(async ({ rotate, reason, by, newKey, overlap, wait = true, json }: Options) => {
      if (rotate === true) {
        if (reason === undefined || by === undefined)
          throw new OrgtrailError('usage', '--rotate needs --reason and --by: both are kept in the log');
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
  const log = await store.readLog();
  if (log === undefined)
    throw new OrgtrailError('usage', 'there is no log yet', { hint: 'docs/evidence.md says how to begin' });
  const { history, order } = await store.readKeys();
  const vkey = (key: string) => vkeyOf(log.origin, Buffer.from(key, 'hex'));
  const { key: stated, old } = keysInForce(history, log.at);
  return {
    own: publicKeysOf(evidence).map((publicKey) => vkeyOf(log.origin, publicKey)),
    stated: stated === undefined ? undefined : vkey(stated),
    until: old?.until,
    ordered: order && { reason: order.reason, by: order.by, vkey: vkey(order.newKey) },
  };
};

const printKeys = async (context: CliContext, isJson: boolean): Promise<void> => {
  const { own, stated, until, ordered } = await withDatabase(context, (pool, { config }) =>
    findKeys(pool, config.evidence),
  );
  const isSigning = stated !== undefined && own.includes(stated);
  const vkey = isSigning || own.length === 0 ? stated : own[0];
  if (isJson) {
    const from = own.length === 0 ? 'log' : 'key file';
    const shown = { vkey: vkey ?? null, from, stated: stated ?? null, old_signs_until: until ?? null };
    context.stdout.write(`${JSON.stringify({ ...shown, ordered: ordered ?? null }, null, 2)}\n`);
  } else context.stdout.write(vkey === undefined ? '' : `${vkey}\n`);
  const warnings = [
    ...(own.length > 0 && stated !== undefined && !isSigning
      ? ['the log names another key: with this one, nothing is signed']
      : []),
    ...(until === undefined ? [] : [`the key before may sign until ${until}`]),
    ...(ordered === undefined ? [] : [`another key is ordered (${ordered.reason}), and no process has stated it yet`]),
  ];
  context.stderr.write(warnings.map((line) => `${line}\n`).join(''));
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
    const { id, vkey, isMade } = await order(pool, evidence, { ...options, by });
    await recordCommand(pool, context, { kind: 'evidence', command: 'evidence key', by, what: { reason, vkey } });
    const waitMs = wait ? Math.max(LEAST_WAIT_MS, 3 * (evidence?.intervalMs ?? 0)) : 0;
    return { reason, vkey, isMade, ...(await untilSigned(pool, id, waitMs, context.signal)) };
  });
  const { isSigned, isMade, until, heldBy, vkey } = result;
  const shown = { reason, vkey, made: isMade, signed: isSigned, old_signs_until: until ?? null, held_by: heldBy };
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
  const log = requireGoing(await store.readLog());
  if (evidence !== undefined) requireOrigin(log, evidence.base);
  const { publicKey, isMade } = newKeyOf(options, evidence);
  requireNew(publicKey.toString('hex'), await store.readKeys(), log, reason);
  const bothForMs = reason === 'rotation' ? (overlap ?? WEEK_MS) : 0;
  const id = await orderKey(pool, { reason, publicKey, bothForMs, by });
  return { id, vkey: vkeyOf(log.origin, publicKey), isMade };
};

const untilSigned = async (pool: Pool, id: number, waitMs: number, signal: AbortSignal) => {
  const startedMs = performance.now();
  for (;;) {
    const stated = await readStated(pool, id);
    if (stated.isSigned || performance.now() - startedMs >= waitMs) return stated;
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
};

const requireGoing = (log: StoredLog | undefined): StoredLog => {
  if (log === undefined) {
    throw new OrgtrailError('usage', 'there is no log yet', { hint: '`orgtrail evidence init` begins it' });
  }
  const state = log.isEnded ? 'ended' : log.state;
  if (!['ended', 'behind'].includes(state)) return log;
  throw new OrgtrailError('usage', `the log is ${state}, and signs nothing any more`, {
    hint: '`orgtrail evidence next` begins the next one, with the key of the settings',
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

const requireNew = (key: string, { history }: KeyState, { at }: StoredLog, reason: RotateOptions['reason']): void => {
  const { key: inForce, old } = keysInForce(history, at);
  const refuse = (message: string, hint: string) => {
    throw new OrgtrailError('usage', message, { hint });
  };
  if (inForce === undefined)
    refuse('no key has signed this log yet', 'set ORGTRAIL_EVIDENCE_KEY_FILE to the key to begin with');
  if (key === inForce) refuse('this is the key that signs already', '--new-key names another file');
  if (everyKey(history).includes(key)) refuse('this key was replaced before, and does not come back', 'make a new one');
  if (reason === 'rotation' && old !== undefined)
    refuse(
      `the last rotation is not over: the key before may sign until ${old.until}`,
      'if one of them is lost or stolen, say so',
    );
};

type Told = Awaited<ReturnType<typeof order>> & Awaited<ReturnType<typeof untilSigned>> & Pick<RotateOptions, 'reason'>;

const textOf = ({ isSigned, isMade, reason, vkey, until }: Omit<Told, 'id'>): string => {
  const after = {
    rotation: `the new key signs, and the old one beside it until ${until ?? 'now'}; then set ORGTRAIL_EVIDENCE_KEY_FILE to the new one alone, and destroy the old one`,
    lost: 'the new key signs alone. What was signed before stays good: the public key is enough to verify it',
    compromised:
      'the new key signs alone. A checkpoint that only the old key signed counts as far as an anchor or a cosignature is older than the theft: tell auditors when it was',
  }[reason];
  return [
    ...(isMade ? ['made a key: keep a copy of its file, and let no process read it but the one that builds'] : []),
    isSigned ? after : 'the new key is ordered',
    'give auditors and witnesses this key, on a way of its own:',
    `  ${vkey}`,
    '',
  ].join('\n');
};
