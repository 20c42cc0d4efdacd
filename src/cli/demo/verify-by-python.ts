import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { bundleFiles } from '../../evidence/bundle/layout.ts';

/** What a verifier says of a bundle. `skipped`: it cannot run on this machine. */
export type Judgement =
  | {
      readonly outcome: 'holds' | 'fails';
      readonly events: number;
      readonly isAnchored: boolean;
      readonly fault?: string;
    }
  | { readonly outcome: 'skipped'; readonly why: string };

const PROGRAM = 'python3';
const IS_NEW_ENOUGH = 'import sys; sys.exit(sys.version_info < (3, 9))';
/** Of verify.py: it could not verify, which is neither yes nor no. */
const COULD_NOT_VERIFY = 1;
const DOES_NOT_HOLD = 5;

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** In a process group of its own: Ctrl-C on a terminal is for the demo, which asks for the end itself. Undefined if there is no such program. */
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

/** Has the verifier that lies in the bundle judge it, against a checkpoint that was kept. Needs Python 3.9 and openssl 3. */
export const verifyByPython = async (
  folder: string,
  kept: string | undefined,
  signal: AbortSignal,
): Promise<Judgement> => {
  const python = await run(PROGRAM, ['-c', IS_NEW_ENOUGH], signal);
  if (python === undefined) return { outcome: 'skipped', why: `there is no ${PROGRAM} here` };
  if (python.code !== 0) return { outcome: 'skipped', why: `${PROGRAM} is older than 3.9, or does not run` };
  const anchors = kept === undefined ? [] : ['--kept-elsewhere', '--anchor', kept];
  const script = join(folder, bundleFiles.verifier);
  const ran = await run(PROGRAM, ['-B', script, folder, '--json', ...anchors], signal);
  return ran === undefined ? { outcome: 'skipped', why: `there is no ${PROGRAM} here` } : judgementOf(ran);
};

/** A pure function of what verify.py has written. */
export const judgementOf = ({ code, stdout, stderr }: Ran): Judgement => {
  const lastLine = stderr.trim().split('\n').at(-1) ?? '';
  if (code === COULD_NOT_VERIFY && lastLine.includes('openssl')) {
    return { outcome: 'skipped', why: lastLine.replace(/^verify: could not verify: /, '') };
  }
  if (code !== 0 && code !== DOES_NOT_HOLD) {
    return { outcome: 'fails', events: 0, isAnchored: false, fault: lastLine || `it ended with ${code}` };
  }
  const report = JSON.parse(stdout) as PythonReport;
  const fault = report.faults[0]?.text;
  return {
    outcome: code === 0 && report.holds ? 'holds' : 'fails',
    events: report.positions?.present ?? 0,
    isAnchored: report.unanchored === false,
    ...(fault !== undefined && { fault }),
  };
};

interface PythonReport {
  readonly holds: boolean;
  readonly faults: readonly { readonly text: string }[];
  readonly positions?: { readonly present: number };
  readonly unanchored?: boolean;
}
