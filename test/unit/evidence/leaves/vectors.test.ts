import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { EvidenceFault, sha256 } from '../../../../src/evidence/bytes.ts';
import { usOf } from '../../../../src/evidence/journal/instants.ts';
import { checked, readLine, readStatement, writeStatement } from '../../../../src/evidence/journal/statement.ts';
import { readLines, readStrictJson } from '../../../../src/evidence/journal/strict-json.ts';
import {
  addLeaf,
  chainStart,
  readEventLeaf,
  saltOf,
  statementLeaf,
  writeEventLeaf,
} from '../../../../src/evidence/leaf.ts';
import { openCheckpoint } from '../../../../src/evidence/notes/checkpoint.ts';
import { parseVerifierKey } from '../../../../src/evidence/notes/signed-note.ts';
import { GrowingTree } from '../../../../src/evidence/tree/growing-tree.ts';
import { leafHash } from '../../../../src/evidence/tree/tiles.ts';
import { Fold } from '../../../../src/evidence/verify/leaves.ts';

/* Made by a program in Python that shares nothing with this one, from the specification. */
const vectors = JSON.parse(readFileSync(new URL('../../../fixtures/evidence/vectors.json', import.meta.url), 'utf8'));
const bytes = (hex: string) => Buffer.from(hex, 'hex');
const hex = (data: Uint8Array) => Buffer.from(data).toString('hex');

test('leaves of events, with a time and without', () => {
  const salt = saltOf(bytes(vectors.month_key), vectors.position);
  expect(hex(salt)).toBe(vectors.salt);
  const event = readEventLeaf(bytes(vectors.event_leaf));
  expect(event).toMatchObject({ position: 42, receivedAtUs: BigInt(vectors.received_us) });
  expect(event).toMatchObject({ actionTimeUs: BigInt(vectors.action_us), rawBytes: Buffer.byteLength(vectors.raw) });
  expect(event.rawSha256).toEqual(sha256(Buffer.from(vectors.raw)));
  expect(hex(writeEventLeaf({ ...event, salt }))).toBe(vectors.event_leaf);
  expect(hex(leafHash(bytes(vectors.event_leaf)))).toBe(vectors.event_leaf_hash);
  const timeless = readEventLeaf(bytes(vectors.event_without_time));
  expect(timeless).toMatchObject({ actionTimeUs: undefined, defects: ['no_time', 'no_id'] });
  expect(hex(writeEventLeaf(timeless))).toBe(vectors.event_without_time);
  expect(hex(leafHash(bytes(vectors.event_without_time)))).toBe(vectors.event_without_time_hash);
});

test('statements as they are written and hashed', () => {
  for (const [at, text] of vectors.statements.entries()) {
    expect(hex(leafHash(statementLeaf(text)))).toBe(vectors.statement_hashes[at]);
    const read = readStatement(text);
    if (!read.known) throw new Error('not known');
    const { type, index, at: when, source, ...fields } = read.statement;
    expect(writeStatement(type, { index, at: when, source }, fields as never)).toBe(text);
  }
});

test('roots of every prefix, by the fold and by the growing tree', () => {
  const [fold, tree] = [new Fold(), new GrowingTree()];
  for (const [size, root] of vectors.roots_by_size.entries()) {
    expect([hex(fold.root()), hex(tree.root())]).toEqual([root, root]);
    const leaf = vectors.leaves_in_order[size];
    if (leaf === undefined) break;
    fold.push(bytes(leaf));
    tree.append(bytes(leaf));
  }
  const hidden = new Fold();
  for (const leaf of vectors.leaves_in_order.slice(0, 2)) hidden.push(bytes(leaf));
  hidden.push(bytes(vectors.records_that_hide_both_events).subarray(2), 1);
  hidden.push(bytes(vectors.leaves_in_order[4]));
  expect(hex(hidden.root())).toBe(vectors.roots_by_size.at(-1));
  expect(() => hidden.push(bytes(vectors.leaves_in_order[0]), 1)).toThrow(RangeError);
});

test('a chain for each number', () => {
  const chains = [{ ...chainStart }, { ...chainStart }] as const;
  const numbers = [0, 1, 1, 1, 1];
  for (const [at, leaf] of vectors.leaves_in_order.entries()) {
    addLeaf(chains[numbers[at] as 0 | 1], bytes(leaf), at === 2 || at === 3);
  }
  for (const [number, { leaves, events, chain }] of chains.entries()) {
    expect({ leaves, events, chain: hex(chain) }).toEqual(vectors.numbers[number]);
  }
});

test('the checkpoint, its key and its witness', () => {
  const policy = { logs: [parseVerifierKey(vectors.vkey)], witnesses: [parseVerifierKey(vectors.witness_vkey)] };
  const { size, root, signers } = openCheckpoint(Buffer.from(vectors.checkpoint), policy);
  expect([size, hex(root), signers.length]).toEqual([5, vectors.roots_by_size[5], 2]);
  expect(() => openCheckpoint(Buffer.from(vectors.checkpoint.replace('\n5\n', '\n6\n')), policy)).toThrow(
    EvidenceFault,
  );
});

test('requests, and what is no strict JSON', () => {
  const lines = readLines(Buffer.from(vectors.requests.join('')), 'reads');
  for (const line of lines) {
    const row = checked(readLine, readStrictJson(line, 'row'), 'row');
    expect(usOf([[row.since, row.before]])[0]?.[0]).toBeLessThan(usOf([[row.since, row.before]])[0]?.[1] ?? 0n);
  }
  for (const text of [
    '[]',
    '{"a":1,"\\u0061":2}',
    '{"a":1.5}',
    '{"a":"\\ud800"}',
    '{"a":1e3}',
    `{"a":${'['.repeat(40)}${']'.repeat(40)}}`,
  ])
    expect(() => readStrictJson(text, 'it'), text).toThrow(EvidenceFault);
  for (const text of ['a', 'a\n\n', 'a\r\n'])
    expect(() => readLines(Buffer.from(text), 'it'), text).toThrow(EvidenceFault);
});
