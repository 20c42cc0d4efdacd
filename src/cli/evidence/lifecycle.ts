import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import type { EvidenceConfig } from '../../app/config/config.ts';
import { nextSignerOf, signerOf } from '../../app/start-evidence.ts';
import { processTime } from '../../app/sync-context.ts';
import { codeOf, OrgtrailError } from '../../base/errors.ts';
import { version } from '../../base/package-files.ts';
import { type LeaseOfBuilder, withLease } from '../../evidence/builder/build-forever.ts';
import { Builder } from '../../evidence/builder/builder.ts';
import type { CoverageOptions } from '../../evidence/builder/coverage-schedule.ts';
import { createEvidenceStore } from '../../evidence/builder/evidence-store.sql.ts';
import type { LogSigner } from '../../evidence/builder/ports.ts';
import { vkeyOf } from '../../evidence/builder/signing-keys.ts';
import { endLog } from '../../evidence/generations/end-log.sql.ts';
import { createProcessIdentity, LeaseLostError } from '../../postgres/leases.ts';
import type { Pool } from '../../postgres/pool.ts';
import { type CliContext, recordCommand, withDatabase } from '../command.ts';

export type EvidenceWithKey = EvidenceConfig & { readonly keyFile: string };

export const requireEvidence = (evidence: EvidenceConfig | undefined): EvidenceWithKey => {
  if (evidence?.keyFile !== undefined) return { ...evidence, keyFile: evidence.keyFile };
  throw new OrgtrailError('configuration', 'ORGTRAIL_EVIDENCE_ORIGIN and ORGTRAIL_EVIDENCE_KEY_FILE must be set', {
    hint: 'docs/evidence.md says what they are',
  });
};

/** What signs as the settings say; undefined without a key. Throws OrgtrailError `configuration` for one that cannot be used. */
export const builderOf = (
  pool: Pool,
  evidence: EvidenceConfig | undefined,
  leaseMs: number,
  coverage?: CoverageOptions,
): { readonly builder: Builder; readonly signer: LogSigner; readonly lease: LeaseOfBuilder } | undefined => {
  const signer = signerOf(evidence);
  if (evidence === undefined || signer === undefined) return undefined;
  const store = createEvidenceStore(pool, createProcessIdentity(), leaseMs);
  const { base } = evidence;
  const options = { store, signer, nextSigner: nextSignerOf(evidence), base, version, observer: {}, coverage };
  return { builder: new Builder(options), signer, lease: { store, time: processTime(), leaseMs } };
};

const LEASE_MS = 30_000;

/** The log and its first leaf, as lines for people; a daemon that builds already goes on. */
export const begin = async (pool: Pool, evidence: EvidenceWithKey): Promise<string[]> => {
  const building = builderOf(pool, evidence, LEASE_MS);
  if (building === undefined) throw new Error('a key is configured');
  const { builder, signer, lease } = building;
  const { origin } = await builder.open();
  const built = await withLease(lease, async (held) => {
    while ((await builder.step(held)).kind === 'more' && (await lease.store.readLog())?.size === 0);
  });
  if (built instanceof LeaseLostError) throw built;
  return [
    `the log is ${origin}`,
    'give auditors this key, on a way of its own:',
    `  ${vkeyOf(origin, signer.publicKey)}`,
  ];
};

const help = `
Retention waits for a log, also after its settings are removed: a month whose events have no leaf is not dropped. A log that was ended is not
waited for. Its last statement says that it was ended, by whom and why; a daemon that builds signs it, or this command with the key.
With --without-key the end is in the database alone. Nothing is deleted, and what is signed can be verified as before; export a bundle before
months are dropped, for drops after the end are stated nowhere. \`orgtrail evidence next\` goes on after an end. Needs an account that owns the schema.

Examples:
  $ orgtrail evidence end --reason 'the engagement is over' --by 'J. Doe'
  $ orgtrail evidence end --reason 'the key is lost' --by 'J. Doe' --without-key`;

interface Options {
  readonly reason: string;
  readonly by: string;
  readonly withoutKey?: boolean;
  readonly json?: boolean;
}

/** A daemon that builds looks each ORGTRAIL_EVIDENCE_INTERVAL. */
const SIGNED_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 200;

export const endCommand = (context: CliContext): Command =>
  new Command('end')
    .description('End the log: no leaf follows, and retention does not wait for it')
    .requiredOption('--reason <text>', 'why, for the log')
    .requiredOption('--by <name>', 'who orders it, for the log')
    .option('--without-key', 'end it in the database alone, without a last signed statement')
    .option('--json', 'print JSON')
    .addHelpText('after', help)
    .action(async (options: Options) => {
      const { reason, by } = toldText(options);
      const ended = await withDatabase(context, async (pool, { config }) => {
        const isStated = options.withoutKey !== true;
        const evidence = isStated ? requireEvidence(config.evidence) : undefined;
        // A key that cannot be used is said before anything is done.
        const building = builderOf(pool, evidence, LEASE_MS);
        const store = createEvidenceStore(pool, 'end', 0);
        const { number, origin, size } = await endLog(pool, store, { reason, by, isStated });
        const what = { number, reason, stated: isStated };
        await recordCommand(pool, context, { kind: 'evidence', command: 'evidence end', by, what });
        const isSigned = building !== undefined && (await signLast(building.builder, building.lease));
        return { origin, number, size: size + Number(isStated), stated: isStated, signed: isSigned };
      });
      const { origin, size, stated, signed } = ended;
      const signing = signed
        ? 'its last statement is signed'
        : 'its last statement is not signed yet: a daemon with the key does it';
      const text = `${origin} was ended with ${size} leaves; ${stated ? signing : 'no statement says so'}\n`;
      context.stdout.write(options.json === true ? `${JSON.stringify(ended, null, 2)}\n` : text);
    });

/** Signs the last statement, or waits until the process that builds has. False: it has not. */
const signLast = async (builder: Builder, lease: LeaseOfBuilder): Promise<boolean> => {
  await builder.open();
  const startedMs = performance.now();
  while (performance.now() - startedMs < SIGNED_WITHIN_MS) {
    const log = await lease.store.readLog();
    if (log?.signedSize === log?.size) return true;
    await withLease(lease, (held) => builder.step(held));
    await sleep(LOOK_EVERY_MS);
  }
  return false;
};

/** For options that may be repeated. */
export const collect = (text: string, before: readonly string[]): readonly string[] => [...before, text];

/** A file that an option names. Throws OrgtrailError `usage` if it cannot be read. */
export const readInput = (file: string): Buffer => {
  try {
    return readFileSync(file);
  } catch (error) {
    const code = codeOf(error) ?? '';
    throw new OrgtrailError('usage', `${file} cannot be read (${code})`);
  }
};

const MAX_REASON = 4_000;
const MAX_NAME = 200;

/** Throws OrgtrailError `usage` for an empty text or one that is too long. */
export const toldText = ({ reason, by }: { readonly reason: string; readonly by: string }) => {
  const told = { reason: reason.trim(), by: by.trim() };
  for (const [name, text, most] of [
    ['--reason', told.reason, MAX_REASON],
    ['--by', told.by, MAX_NAME],
  ] as const) {
    if (text === '') throw new OrgtrailError('usage', `${name} must not be empty`);
    if (text.length > most) throw new OrgtrailError('usage', `${name} must not be longer than ${most} characters`);
  }
  return told;
};
