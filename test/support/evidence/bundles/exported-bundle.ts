import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import type { Pool } from 'pg';
import type { LogSigner } from '../../../../src/evidence/builder/ports.ts';
import { type Exported, type ExportOptions, exportBundle } from '../../../../src/evidence/export/export-bundle.ts';
import { openFolder, verifyFolder } from '../../../../src/evidence/files/folder-reader.ts';
import { verifierFile } from '../../../../src/evidence/files/folder-writer.ts';

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

/** Exports as the command does, without waiting for a builder. */
export const exportTo = async (
  pool: Pool,
  signer: LogSigner,
  folder: string,
  more: Partial<ExportOptions> = {},
): Promise<Exported> =>
  await exportBundle(pool, {
    folder,
    isPacked: false,
    despiteFaults: false,
    version: '0.0.0-test',
    publicKeys: [signer.publicKey],
    waitMs: 0,
    ...more,
  });

/** Files of a bundle that "WHAT IS IN IT" of its README.txt does not name. */
export const unnamedFiles = (folder: string): readonly string[] => {
  const readme = readFileSync(join(folder, 'README.txt'), 'utf8');
  const [contents = ''] = /^WHAT IS IN IT\n[\s\S]*?^HOW IT IS MADE$/m.exec(readme) ?? [];
  const names = [...contents.matchAll(/^(\S+) /gm)].map(([, name = '']) => name);
  const isNamed = (path: string) =>
    names.some((name) => (name.endsWith('...') ? path.startsWith(name.slice(0, -3)) : path === name));
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(folder, join(parentPath, name)))
    .filter((path) => !isNamed(path));
};

/** What the two verifiers say of a bundle. */
export interface Judgements {
  readonly node: { readonly holds: boolean; readonly faults: readonly string[]; readonly claims: string };
  readonly python: { readonly holds: boolean; readonly faults: readonly string[]; readonly claims: string };
}

/** Asks both verifiers; `anchors` are checkpoints that were kept. */
export const judge = async (folder: string, anchors: readonly string[] = []): Promise<Judgements> => {
  const report = await verifyFolder(await openFolder(folder), {
    anchors: anchors.map((note, at) => ({ name: `anchor ${at}`, note: Buffer.from(note) })),
  });
  return {
    node: {
      holds: report.holds,
      faults: report.faults.flatMap(({ message, positions }) => [message, ...othersOf(positions)]),
      claims: report.claims.join('\n'),
    },
    python: judgeWithPython(folder, anchors),
  };
};

/** The same fault at several positions is told once, with all of them. */
const othersOf = (positions: readonly number[]): string[] => positions.slice(1).map((one) => `Position ${one}`);

const judgeWithPython = (folder: string, anchors: readonly string[]): Judgements['python'] => {
  const kept = mkdtempSync(join(tmpdir(), 'orgtrail-anchors-'));
  try {
    const files = anchors.map((note, at) => {
      const file = join(kept, `anchor-${at}`);
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
    const { holds, faults, claims } = JSON.parse(stdout) as {
      readonly holds: boolean;
      readonly faults: readonly { readonly text: string; readonly positions: readonly number[] }[];
      readonly claims: readonly string[];
    };
    if (holds !== (status === 0)) throw new Error(`verify.py ended with ${status}, and says holds: ${holds}`);
    const told = faults.flatMap(({ text, positions }) => [text, ...othersOf(positions)]);
    return { holds, faults: told, claims: claims.join('\n') };
  } finally {
    rmSync(kept, { recursive: true, force: true });
  }
};
