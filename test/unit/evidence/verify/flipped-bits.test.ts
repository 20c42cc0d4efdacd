import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readerOf, usualHistory, verifyBundle } from '../../../support/evidence/test-history.ts';
import { forAll } from '../../for-all.ts';

const history = usualHistory();
// Without README.txt: what is found is found by hashes and signatures, not by its list.
const files = history.bundle().set('anchors/2026-03-01', history.checkpoint('events', false));

test.each([...files.keys()])('one bit of %s changed, whichever it is, is a fault', (path) => {
  const bytes = files.get(path) as Buffer;
  forAll([fc.nat(bytes.length * 8 - 1)], { seed, numRuns: 25 }, (bit) => {
    const changed = Buffer.from(bytes);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(verifyBundle(readerOf(new Map(files).set(path, changed))).holds).toBe(false);
  });
});

test.each([...files.keys()].filter((path) => !/^(?:anchors|events\/sources)\//.test(path)))(
  '%s left out is a fault',
  (path) => {
    const fewer = new Map(files);
    fewer.delete(path);
    expect(verifyBundle(readerOf(fewer)).holds).toBe(false);
  },
);

test('a byte more or fewer in any file is a fault', () => {
  for (const [path, bytes] of files) {
    // A policy may have spaces and empty lines.
    if (path === 'policy.txt') continue;
    for (const changed of [Buffer.concat([bytes, Buffer.alloc(1)]), bytes.subarray(0, -1), Buffer.alloc(0)]) {
      expect([path, verifyBundle(readerOf(new Map(files).set(path, changed))).holds]).toEqual([path, false]);
    }
  }
});

test('any line put into the journal, taken from it, changed with its neighbour or given twice is a fault', () => {
  const path = 'journal/entries.ndjson';
  const lines = (files.get(path) as Buffer).toString().split('\n').slice(0, -1);
  const holds = (changed: readonly string[]) =>
    verifyBundle(readerOf(new Map(files).set(path, Buffer.from(changed.map((line) => `${line}\n`).join(''))))).holds;
  expect(holds(lines)).toBe(true);
  for (const [at, line] of lines.entries()) {
    expect([holds(lines.toSpliced(at, 1)), holds(lines.toSpliced(at, 0, line))]).toEqual([false, false]);
    expect([holds(lines.toSpliced(at, 0, '{}')), holds([...lines, line])]).toEqual([false, false]);
    const next = lines[at + 1];
    if (next !== undefined) expect(holds(lines.toSpliced(at, 2, next, line))).toBe(false);
  }
});

test('a bundle of nothing, and of files that are no bundle, has faults and throws nothing', () => {
  expect(verifyBundle(readerOf(new Map())).holds).toBe(false);
  const bytes = fc.uint8Array({ maxLength: 200 }).map((some) => Buffer.from(some));
  forAll([fc.constantFrom(...files.keys()), bytes], { seed, numRuns: 40 }, (path, some) =>
    expect(verifyBundle(readerOf(new Map(files).set(path, some))).holds).toBe(false),
  );
});

const seed = 20_261_126;
