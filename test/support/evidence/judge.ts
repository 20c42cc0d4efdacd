import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openFolder } from '../../../src/evidence/files/folder-reader.ts';
import { verifierFile } from '../../../src/evidence/files/folder-writer.ts';
import type { Report } from '../../../src/evidence/verify/report.ts';
import { verifyBundle } from '../../../src/evidence/verify/verify-bundle.ts';

/** New enough for verify.py. */
export const hasPython = (): boolean =>
  spawnSync('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 9))']).status === 0;

/** A folder for bundles of one test. */
export class BundleRoom implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'orgtrail-bundle-'));
  #made = 0;

  /** A path at which nothing is. */
  next(): string {
    this.#made += 1;
    return join(this.folder, `bundle-${this.#made}`);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface Judgements {
  readonly node: Report;
  /** verify.py. */
  readonly python: { readonly holds: boolean; readonly faults: readonly { readonly text: string }[] };
}

/** What both verifiers say of a bundle; `kept` are checkpoints that were kept. */
export const judge = async (folder: string, kept: readonly string[] = []): Promise<Judgements> => {
  const notes = kept.map((note, at) => ({ name: `kept-${at}`, note: Buffer.from(note) }));
  return { node: await verifyBundle(openFolder(folder), { kept: notes }), python: judgeWithPython(folder, kept) };
};

const judgeWithPython = (folder: string, kept: readonly string[]): Judgements['python'] => {
  using room = new BundleRoom();
  const files = kept.map((note, at) => {
    const file = join(room.folder, `kept-${at}`);
    writeFileSync(file, note);
    return file;
  });
  const args = ['-B', verifierFile, folder, '--json', ...(files.length > 0 ? ['--anchor', ...files] : [])];
  const { status, stdout, stderr } = spawnSync('python3', args, {
    encoding: 'utf8',
    maxBuffer: 100_000_000,
    env: { ...process.env, PYTHONUTF8: '1' },
  });
  if (status !== 0 && status !== 5) throw new Error(`verify.py ended with ${status}: ${stderr}`);
  const judged = JSON.parse(stdout) as Judgements['python'];
  if (judged.holds !== (status === 0))
    throw new Error(`verify.py ended with ${status}, and says holds: ${judged.holds}`);
  return judged;
};
