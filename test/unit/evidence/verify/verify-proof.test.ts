import fc from 'fast-check';
import { expect, test } from 'vitest';
import { writeCheckpoint, writeTlogProof } from '../../../../src/evidence/notes/checkpoint.ts';
import { parsePolicy, writePolicy } from '../../../../src/evidence/notes/policy.ts';
import { writeNote } from '../../../../src/evidence/notes/signed-note.ts';
import { verifyProof } from '../../../../src/evidence/verify/verify-found.ts';
import { StoredTree } from '../../../support/evidence/stored-tree.ts';
import { eventsOrigin, usualHistory } from '../../../support/evidence/test-history.ts';
import { logSigner } from '../../../support/evidence/test-keys.ts';
import { forAll } from '../../for-all.ts';

const history = usualHistory();
const stored = new StoredTree().append(history.leaves);
const policy = parsePolicy(Buffer.from(writePolicy([logSigner(eventsOrigin).key], [], 0)));

test('an event that is in the log is', () => {
  const report = verifyProof(proofOf(200), recordOf(200), policy);
  expect(report.faults).toEqual([]);
  expect(report.claims).toEqual([`event 200 is in ${eventsOrigin}, as it was among 280, with this payload`]);
});

test('another event, another payload, another place or another log is not', () => {
  expect(codes(proofOf(200), recordOf(201), policy)).toEqual(['root', 'leaf']);
  expect(codes(proofOf(200), { ...recordOf(200), raw: recordOf(201).raw }, policy)).toEqual(['payload']);
  expect(codes(proofOf(200, 200), recordOf(200), policy)).toEqual(['root', 'leaf']);
  const stranger = parsePolicy(Buffer.from(writePolicy([logSigner(eventsOrigin, 'another key').key], [], 0)));
  expect(codes(proofOf(200), recordOf(200), stranger)).toEqual(['checkpoint']);
});

test('nor an event at a place that is not its own, if the log itself has it there', () => {
  const first = recordOf(3);
  const lying = new StoredTree().append([first.leaf, first.leaf, first.leaf, first.leaf]);
  const text = writeCheckpoint({ origin: eventsOrigin, size: 4, root: lying.tree.root() });
  const checkpoint = writeNote({ text, signatures: [logSigner(eventsOrigin).sign(text)] });
  const at = (index: number) => Buffer.from(writeTlogProof({ index, hashes: lying.inclusion(index), checkpoint }));
  expect(codes(at(2), first, policy)).toEqual([]);
  expect(codes(at(3), first, policy)).toEqual(['leaf']);
});

test('any one bit changed in the proof, the leaf or the payload is a fault', () => {
  const files = [proofOf(200), recordOf(200).leaf, recordOf(200).raw] as const;
  forAll([fc.nat(2), fc.nat()], { seed: 20_261_126, numRuns: 600 }, (which, somewhere) => {
    const [proof, leaf, raw] = files.map((file, index) => {
      const copy = Buffer.from(file);
      const bit = somewhere % (copy.length * 8);
      if (index === which) copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      return copy;
    }) as [Buffer, Buffer, Buffer];
    expect(verifyProof(proof, { leaf, raw }, policy).holds).toBe(false);
  });
});

const proofOf = (position: number, index = position - 1) =>
  Buffer.from(
    writeTlogProof({
      index,
      hashes: stored.inclusion(position - 1),
      checkpoint: history.checkpoint('events', false).toString(),
    }),
  );

const recordOf = (position: number) => ({
  leaf: history.leaves[position - 1] as Buffer,
  raw: Buffer.from(history.events[position - 1]?.raw ?? ''),
});

const codes = (...args: Parameters<typeof verifyProof>) => verifyProof(...args).faults.map(({ code }) => code);
