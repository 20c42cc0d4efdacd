import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf } from '../../errors.ts';
import { type Exported, exportBundle } from '../../evidence/export/export-bundle.ts';
import { openFolder } from '../../evidence/files/folder-reader.ts';
import { verifyFolder } from '../../evidence/files/verify-folder.ts';
import { makeKeyFile } from '../../evidence/keys/key-file.ts';
import { readEvidenceStatus } from '../../evidence/stored/evidence-status.sql.ts';
import { version } from '../../package/package-files.ts';
import type { Pool } from '../../postgres/pool.ts';
import { formatDuration } from '../../time/duration.ts';
import { counted } from '../output/counted.ts';
import { type Judgement, verifyByPython } from './verify-by-python.ts';

const LOOK_EVERY_MS = 100;
/** For the last events to be signed, and nothing of it getting any further. */
const SIGN_TIMEOUT_MS = 30_000;

const keyFileOf = (directory: string): string => join(directory, 'evidence-key.pem');
const anchorOf = (directory: string): string => join(directory, 'evidence-anchor');

/** Makes a key and an anchor below the directory of the demo, and returns the settings by which the daemon signs from its start on. */
export const prepareDemoEvidence = (directory: string): Readonly<Record<string, string>> => {
  makeKeyFile(keyFileOf(directory));
  mkdirSync(anchorOf(directory));
  return {
    ORGTRAIL_EVIDENCE_ORIGIN: 'demo.example/evidence',
    ORGTRAIL_EVIDENCE_KEY_FILE: keyFileOf(directory),
    ORGTRAIL_EVIDENCE_ANCHORS: `file:${anchorOf(directory)}`,
    ORGTRAIL_EVIDENCE_INTERVAL: '1s',
  };
};

export interface DemoEvidence {
  readonly directory: string;
  readonly stdout: Pick<Writable, 'write'>;
  /** Ends it at once. */
  readonly signal: AbortSignal;
}

/**
 * Exports a bundle of all that is stored and has both verifiers judge it, with the checkpoint that the anchor keeps, in a line each. False
 * if one of them does not agree, or there is no bundle.
 */
export const verifyDemoEvidence = async (pool: Pool, { directory, stdout, signal }: DemoEvidence): Promise<boolean> => {
  const tell = (line: string) => void stdout.write(`  ${line}\n`);
  stdout.write('\nEvidence, as an auditor gets it:\n');
  const folder = join(directory, 'evidence-bundle');
  const from = performance.now();
  let exported: Exported;
  try {
    await untilSigned(pool, signal);
    exported = await exportBundle(pool, { folder, isPacked: false, despiteFaults: false, version, signal });
  } catch (error) {
    tell(`exported    nothing: ${reasonOf(error).replaceAll(/\s*\n\s*/g, ' ')}`);
    return false;
  }
  const { events, bytes, logs } = exported;
  const content = `${counted(events, 'event')} and ${counted(logs.journal.size, 'statement')}, ${Math.ceil(bytes / 1e6)} MB`;
  tell(`exported    ${content}, signed since the start · ${sinceText(from)}`);
  const kept = newestKept(anchorOf(directory));
  const agrees = { orgtrail: true, 'verify.py': true };
  for (const [name, verify] of [
    ['orgtrail', () => verifyHere(folder, kept, events, signal)],
    ['verify.py', () => verifyByPython(folder, kept, signal)],
  ] as const) {
    const startedAt = performance.now();
    const judgement = await verify();
    agrees[name] = judgement.outcome !== 'fails';
    tell(`${name.padEnd(11)} ${judgementText(judgement)} · ${sinceText(startedAt)}`);
  }
  return agrees.orgtrail && agrees['verify.py'];
};

const sinceText = (startedAt: number): string => formatDuration(performance.now() - startedAt);

/** One line for people. */
export const judgementText = (judgement: Judgement): string => {
  if (judgement.outcome === 'skipped') return `skipped: ${judgement.why}`;
  const { outcome, events, isAnchored, fault } = judgement;
  if (outcome === 'fails') return `${counted(events, 'event')}: does NOT hold: ${fault ?? 'no reason is given'}`;
  const kept = isAnchored ? ', and goes on from the checkpoint at the anchor' : ', unanchored';
  return `${counted(events, 'event')}: holds${kept}`;
};

/** Resolves once all that is stored is signed, or no more of it is. */
const untilSigned = async (pool: Pool, signal: AbortSignal): Promise<void> => {
  let before = -1;
  let giveUpAt = 0;
  for (;;) {
    const status = await readEvidenceStatus(pool);
    if (status !== undefined && status.lagEvents === 0 && status.signedSize === status.size) return;
    const signedSize = status?.signedSize ?? 0;
    if (signedSize !== before) giveUpAt = performance.now() + SIGN_TIMEOUT_MS;
    before = signedSize;
    if (performance.now() > giveUpAt) {
      if (signedSize > 0) return;
      throw new Error('nothing was signed');
    }
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
};

/** The largest checkpoint of the events that the anchor has; undefined: none. */
const newestKept = (anchor: string): string | undefined => {
  const folder = join(anchor, 'events/checkpoints');
  try {
    const newest = readdirSync(folder).sort().at(-1);
    return newest && join(folder, newest);
  } catch {
    return undefined;
  }
};

const verifyHere = async (
  folder: string,
  kept: string | undefined,
  events: number,
  signal: AbortSignal,
): Promise<Judgement> => {
  const reader = await openFolder(folder, { signal });
  const anchors = kept === undefined ? [] : [{ name: kept, note: readFileSync(kept), isKeptElsewhere: true }];
  const { holds, faults, isAnchored } = await verifyFolder(reader, { anchors, signal });
  const fault = faults[0]?.message;
  return { outcome: holds ? 'holds' : 'fails', events, isAnchored, ...(fault !== undefined && { fault }) };
};
