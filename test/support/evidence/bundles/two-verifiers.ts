import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { gunzipSync } from 'node:zlib';
import { type Files, judgeHere, type Shape, type Verdict } from '../shapes/shape.ts';

export const hasPython = (): boolean =>
  spawnSync('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 9))']).status === 0;

/** A bundle as files below a folder. */
export const writeFiles = (folder: string, files: Files): void => {
  for (const [path, bytes] of files) {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytes);
  }
};

/** Both verifiers: the one here, and verify.py in a process of its own that judges one bundle after the other. */
export class TwoVerifiers {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;
  readonly #folder = mkdtempSync(join(tmpdir(), 'two-verifiers-'));
  #count = 0;

  constructor() {
    const script = join(import.meta.dirname, '../../../long/evidence/python/judge.py');
    this.#child = spawn('python3', ['-B', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, PYTHONUTF8: '1' },
    });
    this.#reader = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  async close(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.stdin?.end();
    await ended;
    rmSync(this.#folder, { recursive: true });
  }

  async judge({ files, anchors = [], policy }: Omit<Shape, 'name'>): Promise<{ here: Verdict; python: Verdict }> {
    const here = judgeHere({ files, anchors, ...(policy && { policy }) });
    const folder = this.write(files);
    const python = await this.judgeFolder(folder, anchors, policy);
    rmSync(folder, { recursive: true });
    return { here, python };
  }

  /** Writes a bundle into a folder of its own, which stays until the end. */
  write(files: Files): string {
    this.#count += 1;
    const folder = join(this.#folder, String(this.#count));
    writeFiles(folder, files);
    return folder;
  }

  async judgeFolder(folder: string, anchors: NonNullable<Shape['anchors']>, policy?: Buffer): Promise<Verdict> {
    const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
    const request = {
      folder,
      anchors: anchors.map(({ name, note }) => [name, base64(note)]),
      policy: policy === undefined ? null : base64(policy),
    };
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('verify.py has ended');
    const { holds, faults, claims, not_claimed: notClaimed, coverage } = JSON.parse(value) as PythonReport;
    return {
      holds,
      positions: faults.flatMap(({ positions }) => positions),
      faults: faults.map(({ text }) => text),
      claims,
      notClaimed,
      coverage: coverage ?? [],
    };
  }
}

/** A bundle that the tests of verify.py made, and what verify.py said of it. */
export interface KeptBundle extends Omit<Shape, 'name' | 'fault'> {
  readonly holds: boolean;
  readonly faults: readonly string[];
  /** By the names that they have; those in `files` are unpacked. */
  readonly hashes: ReadonlyMap<string, string>;
}

/** Runs the tests of verify.py, which make bundles by a program of their own. Throws an error if one fails. */
export const bundlesOfPython = (): KeptBundle[] => {
  const kept = mkdtempSync(join(tmpdir(), 'bundles-of-python-'));
  try {
    const script = join(import.meta.dirname, '../../../long/evidence/python/keep.py');
    const done = spawnSync('python3', ['-B', script, kept], {
      encoding: 'utf8',
      env: { ...process.env, PYTHONUTF8: '1' },
      maxBuffer: 2 ** 28,
    });
    if (done.status !== 0) throw new Error(done.stderr);
    return done.stdout.trim().split('\n').map(readKept);
  } finally {
    rmSync(kept, { recursive: true });
  }
};

interface KeptLine {
  readonly folder: string;
  readonly holds: boolean;
  readonly faults: readonly string[];
  readonly anchors: readonly string[];
  readonly policy: string | null;
}

const readKept = (line: string): KeptBundle => {
  const { folder, holds, faults, anchors, policy } = JSON.parse(line) as KeptLine;
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const bytes = new Map(
    entries.map(({ parentPath, name }) => {
      const file = join(parentPath, name);
      return [relative(folder, file), readFileSync(file)] as const;
    }),
  );
  return {
    holds,
    faults,
    files: new Map(
      [...bytes].map(([path, one]) => (path.endsWith('.gz') ? [path.slice(0, -3), unpacked(one)] : [path, one])),
    ),
    hashes: new Map([...bytes].map(([path, one]) => [path, createHash('sha256').update(one).digest('hex')])),
    anchors: anchors.map((note, index) => ({
      name: `kept ${index + 1}`,
      note: Buffer.from(note, 'base64'),
    })),
    ...(policy !== null && { policy: Buffer.from(policy, 'base64') }),
  };
};

const unpacked = (bytes: Buffer): Buffer => {
  try {
    return gunzipSync(bytes);
  } catch {
    return Buffer.from('cannot be unpacked');
  }
};

interface PythonReport {
  readonly holds: boolean;
  readonly faults: readonly { readonly positions: readonly number[]; readonly text: string }[];
  readonly claims: readonly string[];
  readonly coverage?: unknown;
  readonly not_claimed: readonly string[];
  readonly notClaimed: readonly string[];
}
