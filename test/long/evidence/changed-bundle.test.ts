import { spawn } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openFolder } from '../../../src/evidence/files/folder-reader.ts';
import { verifierFile } from '../../../src/evidence/files/verifier-file.ts';
import { verifyFolder } from '../../../src/evidence/files/verify-folder.ts';
import { openAuditedWorld } from '../../support/evidence/audited-world.ts';
import { BundleRoom, exportTo } from '../../support/evidence/bundles/exported-bundle.ts';

// More: EVIDENCE_CHANGES=1000 npx vitest run --project long test/long/evidence/changed-bundle.test.ts
const CHANGES = Number(process.env['EVIDENCE_CHANGES'] ?? 300);
const SEED = Number(process.env['EVIDENCE_SEED'] ?? 20_261_127);

let room: BundleRoom;
let plain: string;
let packed: string;

beforeAll(async () => {
  room = new BundleRoom();
  await using world = await openAuditedWorld(SEED);
  plain = room.next();
  await exportTo(world.late.pool, world.signer, plain);
  packed = room.next();
  await exportTo(world.late.pool, world.signer, packed, { isPacked: true });
}, 300_000);
afterAll(() => room?.[Symbol.dispose]());

/** The same numbers for the same seed. */
const numbersOf = (seed: number) => {
  let state = seed >>> 0;
  return (below: number): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
};

const filesOf = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(folder, join(parentPath, name)))
    .sort();

const isText = (path: string): boolean => /\.(?:ndjson|txt)$|checkpoint$/.test(path);

/** Changes a file so that it is another one: a bit, or a line that is taken, doubled, moved or changed. Says what it did. */
const change = (bytes: Buffer, path: string, next: (below: number) => number): { bytes: Buffer; what: string } => {
  if (!isText(path) || next(2) === 0) {
    const bit = next(bytes.length * 8);
    const changed = Buffer.from(bytes);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    return { bytes: changed, what: `bit ${bit}` };
  }
  const lines = bytes.toString('latin1').split(/(?<=\n)/);
  const at = next(lines.length);
  // The same signature twice says no more than once: signed-note allows it.
  const kind = path.endsWith('checkpoint') ? ([0, 2, 3][next(3)] ?? 0) : next(4);
  const line = lines[at] ?? '';
  const other = lines[next(lines.length)] ?? '';
  const edited =
    [[], [line, line], [other === line ? `${line}x\n` : other], [line.replace(/[0-9a-zA-Z]/, '~')]][kind] ?? [];
  return { bytes: Buffer.from(lines.toSpliced(at, 1, ...edited).join(''), 'latin1'), what: `line ${at}, edit ${kind}` };
};

const pythonLoop = () => {
  const loop = fileURLToPath(new URL('../../support/evidence/bundles/verify_loop.py', import.meta.url));
  const child = spawn('python3', ['-B', loop, verifierFile], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, PYTHONUTF8: '1' },
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    holds: async (folder: string): Promise<boolean> => {
      child.stdin.write(`${folder}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error('verify.py has ended');
      return JSON.parse(value).holds;
    },
    [Symbol.dispose]: () => {
      child.stdin.end();
    },
  };
};

interface Trial {
  readonly folder: () => string;
  readonly count: number;
  /** Which files are changed. */
  readonly isChanged: (path: string) => boolean;
  /** Without README.txt hashes and signatures alone tell. */
  readonly hasReadme: boolean;
}

/** What each verifier missed. */
const missedIn = async ({ folder, count, isChanged, hasReadme }: Trial): Promise<string[]> => {
  const copy = room.next();
  cpSync(folder(), copy, { recursive: true });
  if (!hasReadme) rmSync(join(copy, 'README.txt'));
  using python = pythonLoop();
  const nodeHolds = async () => (await verifyFolder(await openFolder(copy))).holds;
  expect([await nodeHolds(), await python.holds(copy)]).toEqual([true, true]);
  const paths = filesOf(copy).filter(isChanged);
  const next = numbersOf(SEED + count);
  const missed: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const path = paths[next(paths.length)] ?? '';
    const before = readFileSync(join(copy, path));
    const { bytes, what } = change(before, path, next);
    if (bytes.equals(before)) continue;
    writeFileSync(join(copy, path), bytes);
    const [node, py] = [await nodeHolds(), await python.holds(copy)];
    if (node || py) missed.push(`${path}, ${what}: ${node ? 'orgtrail' : ''} ${py ? 'verify.py' : ''}`);
    writeFileSync(join(copy, path), before);
  }
  expect([await nodeHolds(), await python.holds(copy)]).toEqual([true, true]);
  return missed;
};

describe(`a bit or a line of a bundle changed (seed ${SEED})`, () => {
  test('is found by both verifiers by hashes and signatures alone', { timeout: 3_600_000 }, async () => {
    // The later contents are read by verify.py alone; the text of a policy may have comments and spaces; verify.py is listed only. Of
    // an event that was dropped, its source is not known without the chain in a statement of coverage, and there is none yet.
    const isChanged = (path: string) =>
      !['changes.ndjson', 'policy.txt', 'verify.py'].includes(path) && !path.startsWith('events/sources/');
    const count = Math.ceil(CHANGES / 2);
    expect(await missedIn({ folder: () => plain, count, isChanged, hasReadme: false })).toEqual([]);
  });

  test('is found by both verifiers in any file that README.txt lists', { timeout: 3_600_000 }, async () => {
    const isChanged = (path: string) => path !== 'README.txt';
    const count = Math.ceil(CHANGES / 4);
    expect(await missedIn({ folder: () => plain, count, isChanged, hasReadme: true })).toEqual([]);
    expect(await missedIn({ folder: () => packed, count, isChanged, hasReadme: true })).toEqual([]);
  });

  test('is found in a packed file without the list, unless it unpacks to the same', {
    timeout: 3_600_000,
  }, async () => {
    const isPayload = (path: string) => path.startsWith('events/payload/');
    const missed = await missedIn({
      folder: () => packed,
      count: Math.ceil(CHANGES / 10),
      isChanged: isPayload,
      hasReadme: false,
    });
    // Of the header of gzip only time, flags of the packer and system change nothing.
    for (const one of missed) expect(Number(/bit (\d+)/.exec(one)?.[1])).toBeLessThan(80);
  });
});

test('a file taken, and a file under another name, is found by both', async () => {
  using python = pythonLoop();
  for (const path of filesOf(plain).filter((one) => one !== 'README.txt')) {
    const copy = room.next();
    cpSync(plain, copy, { recursive: true });
    renameSync(join(copy, path), join(copy, `${path}.old`));
    const found = [(await verifyFolder(await openFolder(copy))).holds, await python.holds(copy)];
    expect([path, ...found]).toEqual([path, false, false]);
    rmSync(copy, { recursive: true });
  }
  expect(existsSync(plain)).toBe(true);
});
