import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf } from '../../base/errors.ts';
import { version } from '../../base/package-files.ts';
import { counted } from '../../base/text.ts';
import { formatDuration } from '../../base/time.ts';
import { bundleFiles } from '../../evidence/bundle/layout.ts';
import { type ExportedBundle, exportBundle } from '../../evidence/export/export-bundle.ts';
import { openFolder } from '../../evidence/files/folder-reader.ts';
import { makeKeyFile } from '../../evidence/keys.ts';
import { readEvidenceStatus } from '../../evidence/stored/evidence-status.sql.ts';
import { verifyBundle } from '../../evidence/verify/verify-bundle.ts';
import type { Pool } from '../../postgres/pool.ts';

const LOOK_EVERY_MS = 100;
/** Without any progress of signing. */
const SIGN_TIMEOUT_MS = 30_000;

const keyFileOf = (directory: string): string => join(directory, 'evidence-key.pem');
const anchorOf = (directory: string): string => join(directory, 'evidence-anchor');

/** Makes key and anchor, and returns the settings by which the daemon signs from its start. */
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

type DemoEvidence = Readonly<{ directory: string; stdout: Pick<Writable, 'write'>; signal: AbortSignal }>;

/** Both verifiers judge an exported bundle with the anchor's checkpoint. False if one disagrees or there is no bundle. */
export const verifyDemoEvidence = async (pool: Pool, { directory, stdout, signal }: DemoEvidence): Promise<boolean> => {
  const tell = (line: string) => void stdout.write(`  ${line}\n`);
  stdout.write('\nEvidence, as an auditor gets it:\n');
  const folder = join(directory, 'evidence-bundle');
  const from = performance.now();
  let exported: ExportedBundle;
  try {
    await untilSigned(pool, signal);
    exported = await exportBundle(pool, folder, { version, signal });
  } catch (error) {
    tell(`exported    nothing: ${reasonOf(error).replaceAll(/\s*\n\s*/g, ' ')}`);
    return false;
  }
  const { events, bytes, statements } = exported;
  const content = `${counted(events, 'event')} and ${counted(statements, 'statement')}, ${Math.ceil(bytes / 1e6)} MB`;
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

export const judgementText = (judgement: Judgement): string => {
  if (judgement.outcome === 'skipped') return `skipped: ${judgement.why}`;
  const { outcome, events, isAnchored, fault } = judgement;
  if (outcome === 'fails') return `${counted(events, 'event')}: does NOT hold: ${fault ?? 'no reason is given'}`;
  const kept = isAnchored ? ', and goes on from the checkpoint at the anchor' : ', unanchored';
  return `${counted(events, 'event')}: holds${kept}`;
};

/** Also resolves when signing makes no progress. */
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

/** Largest checkpoint at the anchor. */
const newestKept = (anchor: string): string | undefined => {
  const folder = join(anchor, 'log-1/checkpoints');
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
  const notes = kept === undefined ? [] : [{ name: kept, note: readFileSync(kept) }];
  const { holds, faults, keptSize } = await verifyBundle(openFolder(folder, { signal }), { kept: notes });
  const fault = faults[0]?.message;
  return {
    outcome: holds ? 'holds' : 'fails',
    events,
    isAnchored: keptSize > 0,
    ...(fault !== undefined && { fault }),
  };
};

/** `skipped`: the verifier cannot run here. */
type Judgement =
  | Readonly<{ outcome: 'holds' | 'fails'; events: number; isAnchored: boolean; fault?: string }>
  | Readonly<{ outcome: 'skipped'; why: string }>;

const PROGRAM = 'python3';
const IS_NEW_ENOUGH = 'import sys; sys.exit(sys.version_info < (3, 9))';
const DOES_NOT_HOLD = 5;
type Ran = Readonly<{ code: number; stdout: string; stderr: string }>;

/** In its own process group: Ctrl-C is for the demo, which ends it. Undefined if there is no such program. */
const run = async (program: string, args: readonly string[], signal: AbortSignal): Promise<Ran | undefined> => {
  const child = spawn(program, args, { detached: true, signal, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'close');
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  try {
    const [code] = (await ended) as [number | null];
    const [stdout, stderr] = await output;
    return { code: code ?? -1, stdout, stderr };
  } catch (error) {
    await output.catch(() => {});
    if (signal.aborted || !(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    return undefined;
  }
};

/** Runs the bundle's verifier against a kept checkpoint. Needs Python 3.9. */
export const verifyByPython = async (
  folder: string,
  kept: string | undefined,
  signal: AbortSignal,
): Promise<Judgement> => {
  const python = await run(PROGRAM, ['-c', IS_NEW_ENOUGH], signal);
  if (python === undefined) return { outcome: 'skipped', why: `there is no ${PROGRAM} here` };
  if (python.code !== 0) return { outcome: 'skipped', why: `${PROGRAM} is older than 3.9, or does not run` };
  const anchors = kept === undefined ? [] : ['--anchor', kept];
  const script = join(folder, bundleFiles.verifier);
  const ran = await run(PROGRAM, ['-B', script, folder, '--json', ...anchors], signal);
  return ran === undefined ? { outcome: 'skipped', why: `there is no ${PROGRAM} here` } : judgementOf(ran);
};

/** Reads the output of verify.py. */
export const judgementOf = ({ code, stdout, stderr }: Ran): Judgement => {
  const lastLine = stderr.trim().split('\n').at(-1) ?? '';
  if (code !== 0 && code !== DOES_NOT_HOLD) {
    return { outcome: 'fails', events: 0, isAnchored: false, fault: lastLine || `it ended with ${code}` };
  }
  const report = JSON.parse(stdout) as PythonReport;
  const fault = report.faults[0]?.text;
  return {
    outcome: code === 0 && report.holds ? 'holds' : 'fails',
    events: report.events ?? 0,
    isAnchored: report.unanchored === false,
    ...(fault !== undefined && { fault }),
  };
};

interface PythonReport {
  readonly holds: boolean;
  readonly faults: readonly { readonly text: string }[];
  readonly events?: number;
  readonly unanchored?: boolean;
}
