import { describe, expect, it } from 'vitest';
import { bundleFiles } from '../../../../src/evidence/bundle/layout.ts';
import { writeRecord } from '../../../../src/evidence/bundle/records.ts';
import { parsePolicy } from '../../../../src/evidence/notes/checkpoint.ts';
import { type VerifierOptions, verifyBundle } from '../../../../src/evidence/verify/verify-bundle.ts';
import {
  at,
  BASE,
  EVERYTHING,
  FEED,
  type Files,
  listed,
  readerOf,
  richLog,
  TestLog,
} from '../../../support/evidence/bundle-builder.ts';
import { signedFaults, smallLog } from '../../../support/evidence/signed-faults.ts';
import { logSigner, witnessSigner } from '../../../support/evidence/test-keys.ts';

const verify = (files: Files, options: VerifierOptions = {}, pieceBytes?: number) =>
  verifyBundle(readerOf(files, pieceBytes), options);
const faultsOf = async (files: Files, options: VerifierOptions = {}) =>
  (await verify(files, options)).faults.map(({ message }) => message);

const selections = {
  everything: EVERYTHING,
  'source 1': { ...EVERYTHING, source: 1 },
  'source 2': { ...EVERYTHING, source: 2 },
  'a time': { ...EVERYTHING, since: at(6), before: at(12) },
  'a time of source 2': { ...EVERYTHING, source: 2, since: at(6), before: at(9) },
  'a search': { ...EVERYTHING, query: 'actor:x' },
};
const found = new Set([2, 8]);
/** By no rule; a policy may name more keys, and a time may be another one with the same events. */
const UNJUDGED: readonly string[] = [
  bundleFiles.readme,
  bundleFiles.format,
  bundleFiles.verifier,
  bundleFiles.policy,
  bundleFiles.selection,
];
const bundles = Object.entries(selections).map(([name, selection]) => ({
  name,
  files: richLog().bundle(selection, { found }),
}));

describe.each(bundles)('$name', ({ files }) => {
  it.each([1, 7, 1_000_000])('holds, read in pieces of %i', async (pieceBytes) => {
    expect((await verify(files, {}, pieceBytes)).faults).toEqual([]);
  });

  it('does not hold with any byte changed, also if README.txt lists it', async () => {
    const passed: string[] = [];
    for (const [path, bytes] of files) {
      if (UNJUDGED.includes(path)) continue;
      for (let place = 0; place < bytes.length; place += 41) {
        const changed = Buffer.from(bytes);
        changed[place] = (changed[place] ?? 0) ^ 1;
        if ((await verify(listed(new Map([...files, [path, changed]])))).holds) passed.push(`${path} ${place}`);
      }
    }
    expect(passed).toEqual([]);
  });

  it('does not hold with a file gone, cut, doubled, or of another bundle', async () => {
    for (const [path, bytes] of files) {
      const without = [...files].filter(([name]) => name !== path);
      const other = bundles.flatMap((one) => one.files.get(path) ?? []).filter((one) => !one.equals(bytes));
      const changed = UNJUDGED.includes(path) ? [] : [bytes.subarray(0, -2), Buffer.concat([bytes, bytes]), ...other];
      const gone = path === bundleFiles.readme ? new Map(without) : listed(new Map(without));
      expect((await verify(gone)).holds, path).toBe(false);
      for (const one of changed)
        expect((await verify(listed(new Map([...without, [path, one]])))).holds, path).toBe(false);
    }
  });
});

it.each(Object.entries(signedFaults))('a holder of the key cannot sign: %s', async (_, make) => {
  expect(await faultsOf(make().bundle())).not.toEqual([]);
});

it('holds without any of these', async () => {
  expect(await faultsOf(smallLog().bundle())).toEqual([]);
});

describe('records', () => {
  const leaf = (log: TestLog, index: number) => log.leaves[index] as Required<TestLog['leaves'][number]>;
  const bundle = (records: (log: TestLog) => readonly Buffer[], selection = EVERYTHING) => {
    const log = smallLog();
    const files = log.bundle(selection);
    return listed(new Map([...files, ['leaves/000000.bin', Buffer.concat(records(log))]]));
  };
  const e = (log: TestLog, index: number) =>
    writeRecord({ kind: 'E', leaf: leaf(log, index).data, raw: leaf(log, index).raw });
  const l = (log: TestLog, index: number) => writeRecord({ kind: 'L', leaf: leaf(log, index).data });
  const s = (log: TestLog, index: number) => writeRecord({ kind: 'S', height: 0, hash: leaf(log, index).hash });
  const d = (log: TestLog, index: number, number: number) =>
    writeRecord({ kind: 'D', number, hash: leaf(log, index).hash });

  it('holds as it is', async () => {
    expect(await faultsOf(bundle((log) => [e(log, 2), e(log, 4)]))).toEqual([]);
  });

  const one = { ...EVERYTHING, source: 1 };
  it.each<[string, Files]>([
    ['an event without its content', bundle((log) => [l(log, 2), e(log, 4)])],
    ['an event under a root', bundle((log) => [s(log, 2), e(log, 4)])],
    ['an event as dropped', bundle((log) => [d(log, 2, 1), e(log, 4)])],
    ['an event twice', bundle((log) => [e(log, 2), e(log, 2), e(log, 4)])],
    ['events in another order', bundle((log) => [e(log, 4), e(log, 2)])],
    ['one record more', bundle((log) => [e(log, 2), e(log, 4), e(log, 4)])],
    [
      'a content without an event',
      bundle((log) => [writeRecord({ kind: 'C', raw: Buffer.from('{}') }), e(log, 2), e(log, 4)]),
    ],
    ['a record of no kind', bundle((log) => [e(log, 2), e(log, 4), Buffer.from('X')])],
    ['an event of another source', bundle((log) => [e(log, 2), s(log, 3), e(log, 4)], one)],
    ['a hidden event of this source', bundle((log) => [s(log, 2), s(log, 3), s(log, 4)], one)],
  ])('does not hold with %s', async (name, files) => {
    const { holds } = await verify(files);
    // Without a statement of coverage nothing counts what is hidden.
    expect(holds).toBe(name === 'a hidden event of this source');
  });

  it('does not hold if a source hides what its coverage counts, a statement included', async () => {
    for (const hidden of [1, 2]) {
      const log = smallLog();
      log.coverage(1, [[at(4), at(11)]]);
      const files = log.bundle(one);
      const statements = String(files.get(bundleFiles.statements)).split('\n');
      const kept = hidden === 1 ? statements.filter((text) => !text.includes('"type":"source"')) : statements;
      const records = hidden === 1 ? [s(log, 1), s(log, 2)] : [s(log, 2)];
      files.set(bundleFiles.statements, Buffer.from(kept.join('\n')));
      files.set('leaves/000000.bin', Buffer.concat([...records, s(log, 3), s(log, 4)]));
      expect(await faultsOf(listed(files))).not.toEqual([]);
    }
  });

  it('does not hold with a file in two forms, a name of no file of leaves, or what is not listed', async () => {
    const files = richLog().bundle();
    const leaves = files.get('leaves/000000.bin') as Buffer;
    for (const path of ['leaves/000000.bin.gz', 'leaves/000001.bin', 'leaves/0.bin', 'anchors/A'])
      expect(await faultsOf(listed(new Map([...files, [path, leaves]])))).not.toEqual([]);
    for (const path of ['leaves/x', 'anchors/1'])
      expect(await faultsOf(new Map([...files, [path, leaves]]))).not.toEqual([]);
    const { holds, said } = await verify(new Map([...files, ['notes-of-the-auditor.txt', leaves]]));
    expect([holds, said.join()]).toEqual([true, expect.stringContaining('notes-of-the-auditor.txt')]);
    expect((await verifyBundle(readerOf(files, 1_000, ['link']))).holds).toBe(false);
  });
});

describe('packed', () => {
  const files = richLog().bundle(EVERYTHING, { isPacked: true });
  const path = 'leaves/000000.bin.gz';
  const packed = files.get(path) as Buffer;
  it.each([1, 9, 1_000_000])('holds, in pieces of %i', async (pieceBytes) => {
    expect((await verify(files, {}, pieceBytes)).faults).toEqual([]);
  });
  it.each<[string, Buffer]>([
    ['two members', Buffer.concat([packed, packed])],
    ['a byte behind it', Buffer.concat([packed, Buffer.of(0)])],
    ['flags', Buffer.from(packed.map((byte, place) => (place === 3 ? 0x20 : byte)))],
    ['another checksum', Buffer.from(packed.map((byte, place) => (place === packed.length - 8 ? byte ^ 1 : byte)))],
    ['another length', Buffer.from(packed.map((byte, place) => (place === packed.length - 1 ? byte ^ 1 : byte)))],
    ['its end gone', packed.subarray(0, -1)],
    ['nothing', Buffer.alloc(0)],
  ])('does not hold with %s', async (_, bytes) => {
    expect(await faultsOf(listed(new Map([...files, [path, bytes]])))).not.toEqual([]);
  });
});

describe('kept checkpoints', () => {
  const log = richLog();
  const files = log.bundle();
  const kept = (note: string) => ({ kept: [{ name: 'kept', note: Buffer.from(note) }] });

  it('each size agrees, and covers so many leaves', async () => {
    for (let size = 0; size <= log.size; size += 1) {
      const report = await verify(files, kept(log.checkpoint(size)));
      expect([report.faults, report.keptSize]).toEqual([[], size]);
    }
    expect((await verify(files, kept(log.checkpoint()))).verdict).toBe('the evidence holds');
  });

  it.each<[string, string]>([
    ['of another tree', richLogWith((one) => one.event(2)).checkpoint(log.size + 1)],
    ['of another root', richLogBefore().checkpoint(9)],
    ['of a later log', log.checkpoint(9, `${BASE}/${FEED}.2`)],
    ['of another feed', log.checkpoint(9, `${BASE}/${FEED.replace('1f', '2f')}.1`)],
    ['of a key of a stranger', log.checkpoint(9, log.origin, [logSigner(log.origin, 'stranger')])],
    ['no checkpoint', 'x\n'],
  ])('does not hold with one %s', async (_, note) => {
    expect(await faultsOf(files, kept(note))).not.toEqual([]);
    const report = await verify(listed(new Map([...files, ['anchors/1', Buffer.from(note)]])));
    expect([report.holds, report.first.length]).toEqual([false, 1]);
  });

  it('a loss is stated, said first, and still a fault for what was kept', async () => {
    const before = smallLog();
    const lost = before.checkpoint();
    const next = smallLog();
    next.leaves.pop();
    next.origin = `${BASE}/${FEED}.2`;
    next.signers = [logSigner(next.origin)];
    next.begin({ at: at(20), number: 2, previous: lost, carried: 4, lost_holds: [7] });
    const report = await verify(next.bundle());
    expect([report.faults, report.first]).toEqual([
      [],
      ['log 2 since 2026-01-20: 1 leaves of log 1 are lost, as stated, and with them the holds 7'],
    ]);
    expect(await faultsOf(next.bundle(), kept(lost))).not.toEqual([]);
    expect(await faultsOf(next.bundle(), kept(before.checkpoint(4)))).toEqual([]);
  });

  it('a root hides where one ends, unless it is split there', async () => {
    const selection = { ...EVERYTHING, source: 1 };
    const [hidden, split] = [log.bundle(selection), log.bundle(selection, { splits: [7] })];
    const [one, other] = [await verify(hidden, kept(log.checkpoint(7))), await verify(split, kept(log.checkpoint(7)))];
    expect([one.holds, one.keptSize, one.said.some((line) => line.includes('--anchor'))]).toEqual([true, 0, true]);
    expect([other.holds, other.keptSize]).toEqual([true, 7]);
  });

  it('a witness counts if the policy is of the auditor', async () => {
    const witness = witnessSigner('witness.example.org/w1');
    const seen = richLog();
    seen.signers = [...seen.signers, witness];
    const policy = parsePolicy(Buffer.from(seen.policy()));
    expect((await verify(seen.bundle(), { policy })).verdict).toBe('the evidence holds');
    expect((await verify(seen.bundle())).verdict).toContain('as far as the operator is believed');
  });

  it('a policy without the key in force, or with another one, is a fault', async () => {
    const other = parsePolicy(Buffer.from(log.policy([logSigner(log.origin, 'other')])));
    expect(await faultsOf(files, { policy: other })).not.toEqual([]);
    expect(await faultsOf(files, { policy: { logs: [], witnesses: [] } })).not.toEqual([]);
  });
});

const richLogWith = (more: (log: TestLog) => unknown): TestLog => {
  const log = richLog();
  more(log);
  return log;
};

const richLogBefore = (): TestLog => {
  const log = new TestLog();
  log.begin();
  log.source(1, { id: 'another' });
  for (let n = 0; n < 9; n += 1) log.state('note', 0, { about: 'x', facts: { n } });
  return log;
};
