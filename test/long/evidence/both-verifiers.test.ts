import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { bundleFiles } from '../../../src/evidence/bundle/layout.ts';
import { openFolder } from '../../../src/evidence/files/folder-reader.ts';
import { verifierFile } from '../../../src/evidence/files/folder-writer.ts';
import { verifyBundle } from '../../../src/evidence/verify/verify-bundle.ts';
import { at, EVERYTHING, type Files, listed, richLog, writeFiles } from '../../support/evidence/bundle-builder.ts';
import { BundleRoom, hasPython } from '../../support/evidence/judge.ts';
import { signedFaults, smallLog } from '../../support/evidence/signed-faults.ts';

if (!hasPython()) console.warn('Both verifiers are not compared: there is no python3 of 3.9 or later.');

interface Case {
  readonly name: string;
  readonly files: Files;
  /** Undefined: whatever it is, both say the same. */
  readonly holds?: boolean;
  /** A checkpoint that was kept. */
  readonly kept?: string;
}

const selections = {
  everything: EVERYTHING,
  'source 1': { ...EVERYTHING, source: 1 },
  'source 2': { ...EVERYTHING, source: 2 },
  'a time': { ...EVERYTHING, since: at(6), before: at(12) },
  'a time of source 2': { ...EVERYTHING, source: 2, since: at(6), before: at(9) },
  'a search': { ...EVERYTHING, query: 'actor:x' },
};
const bundles = Object.entries(selections).map(([name, selection]) => {
  const isPacked = name === 'everything';
  return [name, richLog().bundle(selection, { found: new Set([2, 8]), isPacked })] as const;
});

test.skipIf(!hasPython())('both verifiers agree on what holds, and on what was changed', async () => {
  const cases = [...sound(), ...signed(), ...changed()];
  using room = new BundleRoom();
  const folders = cases.map(({ files }) => {
    const folder = room.next();
    writeFiles(folder, files);
    return folder;
  });
  const kept = cases.map((one) => {
    if (one.kept === undefined) return undefined;
    const folder = room.next();
    writeFiles(folder, new Map([['kept', Buffer.from(one.kept)]]));
    return `${folder}/kept`;
  });
  const python = judgeAll(
    folders.map((folder, n) => [folder, ...(kept[n] === undefined ? [] : ['--anchor', kept[n]])]),
  );
  for (const [n, one] of cases.entries()) {
    const notes = one.kept === undefined ? [] : [{ name: 'kept', note: Buffer.from(one.kept) }];
    const { holds, faults } = await verifyBundle(openFolder(folders[n] ?? ''), { kept: notes });
    const said = [one.name, holds ? 0 : 5, faults[0]?.message];
    expect(said).toEqual([one.name, python[n], said[2]]);
    if (one.holds !== undefined) expect(said).toEqual([one.name, one.holds ? 0 : 5, said[2]]);
  }
});

function* sound(): Generator<Case> {
  for (const [name, files] of bundles) {
    yield { name, files, holds: true };
    for (const size of [0, 5, 28])
      yield { name: `${name}, kept ${size}`, files, holds: true, kept: richLog().checkpoint(size) };
    yield { name: `${name}, kept of another log`, files, kept: richLog().checkpoint(5, 'other.example/1') };
    yield {
      name: `${name}, kept of a later one`,
      files,
      holds: false,
      kept: richLog().checkpoint(5, later(richLog().origin)),
    };
  }
}

const later = (origin: string): string => origin.replace(/1$/, '2');

function* signed(): Generator<Case> {
  for (const [name, make] of Object.entries(signedFaults)) yield { name, files: make().bundle(), holds: false };
  const log = smallLog();
  log.coverage(1, [], { log_leaves: 7 }, []);
  const files = log.bundle({ ...EVERYTHING, query: 'x' }, { found: new Set([2]) });
  yield { name: 'a search without a statement of the log', files, holds: false };
  const unlisted = richLog().bundle();
  const readme = String(unlisted.get(bundleFiles.readme)).replace(/^.* {2}policy\.txt\n/m, '');
  unlisted.set(bundleFiles.readme, Buffer.from(readme));
  yield { name: 'a policy that is not listed', files: unlisted, holds: false };
}

/** By a generator of its own: a failure is of a number, and can be had again. */
function* changed(): Generator<Case> {
  let seed = 4_711;
  const random = (below: number) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  const unjudged: readonly string[] = [bundleFiles.readme, bundleFiles.format, bundleFiles.verifier];
  for (const [name, files] of bundles) {
    const paths = [...files.keys()].filter((path) => !unjudged.includes(path));
    for (let n = 0; n < 60; n += 1) {
      const path = paths[random(paths.length)] ?? '';
      const bytes = files.get(path) ?? Buffer.alloc(0);
      const [from = 0, to = 0] = [random(bytes.length), random(bytes.length)].sort((a, b) => a - b);
      const flipped = Buffer.from(bytes);
      flipped[from] = (flipped[from] ?? 0) ^ (1 << random(8));
      const cut = Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
      const doubled = Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)]);
      const one = [flipped, cut, doubled, undefined][random(4)];
      const rest = [...files].filter(([other]) => other !== path);
      const made = listed(new Map(one === undefined ? rest : [...rest, [path, one]]));
      yield { name: `${name}, change ${n} of ${path}`, files: made };
    }
  }
}

/** Exit codes of verify.py, in one process. */
const judgeAll = (calls: readonly (readonly string[])[]): number[] => {
  const program = `
import contextlib, importlib.util, io, json, sys
spec = importlib.util.spec_from_file_location('verify', sys.argv[1])
verify = importlib.util.module_from_spec(spec)
spec.loader.exec_module(verify)
class Text(io.StringIO):
    def reconfigure(self, **_):
        pass
codes = []
for call in json.load(sys.stdin):
    sys.argv[1:] = call
    with contextlib.redirect_stdout(Text()), contextlib.redirect_stderr(Text()):
        codes.append(verify.main())
print(json.dumps(codes))`;
  const { stdout, stderr, status } = spawnSync('python3', ['-B', '-c', program, verifierFile], {
    encoding: 'utf8',
    input: JSON.stringify(calls),
    env: { ...process.env, PYTHONUTF8: '1' },
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as number[];
};
