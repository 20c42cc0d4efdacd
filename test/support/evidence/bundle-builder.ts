import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import {
  type BundleReader,
  bundleFiles,
  kindOf,
  LEAVES_PER_FILE,
  leavesFile,
  type Selection,
  writeList,
  writeSelection,
} from '../../../src/evidence/bundle/layout.ts';
import { writeRecord } from '../../../src/evidence/bundle/records.ts';
import { sha256 } from '../../../src/evidence/bytes.ts';
import { unpacked } from '../../../src/evidence/files/folder-reader.ts';
import { addLeaf, chainStart, type NumberChain, statementLeaf, writeEventLeaf } from '../../../src/evidence/leaf.ts';
import { writeCheckpoint } from '../../../src/evidence/notes/checkpoint.ts';
import { printVerifierKey, writeNote } from '../../../src/evidence/notes/signed-note.ts';
import { leafHash } from '../../../src/evidence/tree/tiles.ts';
import { Fold } from '../../../src/evidence/verify/leaves.ts';
import { logSigner, type TestSigner } from './test-keys.ts';

export type Files = Map<string, Buffer>;
type Fields = Readonly<Record<string, unknown>>;

export interface TestLeaf {
  readonly index: number;
  readonly number: number;
  readonly hash: Buffer;
  /** Of a statement. */
  readonly text?: string;
  /** Of an event. */
  readonly data?: Buffer;
  readonly raw?: Buffer;
  readonly timeUs?: bigint | undefined;
}

export const BASE = 'audit.example.com/evidence';
export const FEED = '1f2e3d4c-0000-4000-8000-000000000001';
export const EVERYTHING: Selection = { source: null, since: null, before: null, query: null };
export const FIRST_AT = '2026-01-02T00:00:01.000000Z';

/** `day` of January 2026, `us` of microseconds in it. */
export const at = (day: number, us = 0): string =>
  `${new Date(Date.UTC(2026, 0, day) + Math.floor(us / 1_000)).toISOString().slice(0, 23)}${String(us % 1_000).padStart(3, '0')}Z`;

const usAt = (day: number): bigint => BigInt(Date.UTC(2026, 0, day)) * 1_000n;

/** A log as a holder of the key can make it: nothing of it is checked. */
export class TestLog {
  readonly leaves: TestLeaf[] = [];
  readonly reads: string[] = [];
  readonly changes = new Map<number, Buffer[]>();
  readonly dropped = new Set<number>();
  readonly sources = new Map<number, string>();
  signers: TestSigner[];
  origin: string;
  position = 0;
  #rows = new Map<number, number>();

  constructor(number = 1, word?: string) {
    this.origin = `${BASE}/${FEED}.${number}`;
    this.signers = [logSigner(this.origin, word)];
  }

  get size(): number {
    return this.leaves.length;
  }

  get key(): string {
    return Buffer.from(this.signers[0]?.key.publicKey ?? []).toString('hex');
  }

  state(type: string, source: number, fields: Fields): number {
    return this.text(JSON.stringify({ index: this.size, type, at: at(20), source, ...fields }), source);
  }

  text(text: string, number: number): number {
    this.leaves.push({ index: this.size, number, hash: leafHash(statementLeaf(text)), text });
    return this.size - 1;
  }

  begin(fields: Fields = {}): number {
    return this.state('begin', 0, {
      at: FIRST_AT,
      format: 2,
      number: 1,
      base: BASE,
      feed_id: FEED,
      key: this.key,
      version: '1',
      previous: null,
      carried: 0,
      lost_holds: [],
      adopted_position: 0,
      reason: 'begun',
      by: 'test',
      ...fields,
    });
  }

  source(number: number, fields: Fields = {}): number {
    this.sources.set(number, `organization-${number}`);
    const id = `organization-${number}`;
    return this.state('source', number, {
      at: FIRST_AT,
      number,
      kind: 'organization',
      id,
      organization_id: id,
      ...fields,
    });
  }

  event(number: number, { day = 10, raw = '', position = this.position + 1, timeless = false } = {}): number {
    this.position = position;
    const content = Buffer.from(
      raw === ''
        ? JSON.stringify({
            id: `e-${position}`,
            action: { time: at(day) },
            organization: { id: `organization-${number}` },
          })
        : raw,
    );
    const timeUs = timeless ? undefined : usAt(day);
    const data = writeEventLeaf({
      salt: Buffer.alloc(16, position % 256),
      position,
      receivedAtUs: usAt(day) + 5n,
      actionTimeUs: timeUs,
      sourceKind: 'organization',
      sourceId: this.sources.get(number) ?? `unknown-${number}`,
      organizationId: undefined,
      id: `e-${position}`,
      defects: [],
      rawBytes: content.length,
      rawSha256: sha256(content),
    });
    this.leaves.push({ index: this.size, number, hash: leafHash(data), data, raw: content, timeUs });
    return this.size - 1;
  }

  change(event: number, raw: string, fields: Fields = {}): number {
    const content = Buffer.from(raw);
    this.changes.set(event, [...(this.changes.get(event) ?? []), content]);
    return this.state('change', this.leaves[event]?.number ?? 0, {
      event,
      raw_sha256: sha256(content).toString('hex'),
      raw_bytes: content.length,
      seen_at: at(19),
      ...fields,
    });
  }

  request(source: number, since: string, before: string, fields: Fields = {}): void {
    const number = (this.#rows.get(source) ?? 0) + 1;
    this.#rows.set(source, number);
    this.reads.push(
      JSON.stringify({
        source,
        number,
        read_at: at(19),
        lane: 'live',
        filter_hash: NO_FILTER,
        since,
        before,
        pages: 1,
        entries: 1,
        answers: 1,
        first_date: at(19),
        first_cf_ray: 'r',
        last_date: at(19),
        last_cf_ray: null,
        bodies_sha256: NO_FILTER,
        ...fields,
      }),
    );
  }

  /** Of one request, or none. */
  coverage(
    source: number,
    read: readonly (readonly string[])[],
    fields: Fields = {},
    windows: readonly (readonly string[])[] = read,
  ): number {
    const first = (this.#rows.get(source) ?? 0) + 1;
    for (const [since = '', before = ''] of windows) this.request(source, since, before);
    const lines = windows.length === 0 ? [] : this.reads.slice(-windows.length);
    const [own, log] = [this.chain(source), this.chain(0)];
    return this.state('coverage', source, {
      filter: { text: '', hash: NO_FILTER },
      wanted_since: at(1),
      as_of: at(19),
      read,
      again: [],
      adopted: [],
      holes: [],
      left_out: { ranges: 0, holes: 0 },
      events: own.events,
      leaves: own.leaves,
      chain: Buffer.from(own.chain).toString('hex'),
      log_leaves: log.leaves,
      log_chain: Buffer.from(log.chain).toString('hex'),
      rows: { first, last: first + windows.length - 1, sha256: hashOfLines(lines), windows },
      ...fields,
    });
  }

  /** Drops these events of January. */
  drop(indexes: readonly (readonly [number, number])[], fields: Fields = {}): number {
    for (const [from, to] of indexes) for (let index = from; index < to; index += 1) this.dropped.add(index);
    return this.state('drop', 0, {
      at: '2026-09-01T00:00:00.000000Z',
      month: '2026-01',
      indexes,
      events: indexes.reduce((sum, [from, to]) => sum + to - from, 0),
      retention: '6 mons',
      older_than: '2026-02-01T00:00:00.000000Z',
      dropped_at: '2026-08-01T00:00:00.000000Z',
      dropped_by: 'orgtrail',
      holds: [],
      ...fields,
    });
  }

  hold(number: number, id: number, fields: Fields = {}): number {
    return this.state('hold', number, {
      action: 'added',
      id,
      since: null,
      before: null,
      reason: 'case',
      by: 'counsel',
      done_at: at(21),
      ...fields,
    });
  }

  chain(number: number, size = this.size): NumberChain {
    const chain = { ...chainStart };
    for (const { hash, data } of this.leaves.slice(0, size).filter((leaf) => leaf.number === number))
      addLeaf(chain, hash, data !== undefined);
    return chain;
  }

  root(size = this.size): Buffer {
    const fold = new Fold();
    for (const { hash } of this.leaves.slice(0, size)) fold.push(hash);
    return fold.root();
  }

  checkpoint(size = this.size, origin = this.origin, signers = this.signers): string {
    const text = writeCheckpoint({ origin, size, root: this.root(size) });
    return writeNote({ text, signatures: signers.map((signer) => signer.sign(text)) });
  }

  policy(signers = this.signers): string {
    return signers
      .map(({ key }) => (key.type === 1 ? `log ${printVerifierKey(key)}\n` : `witness w ${printVerifierKey(key)}\n`))
      .join('');
  }

  /** `found`: events of a search. */
  bundle(
    selection: Selection = EVERYTHING,
    {
      found = new Set<number>(),
      anchors = [],
      isPacked = false,
      splits = [],
    }: {
      found?: ReadonlySet<number>;
      anchors?: readonly string[];
      isPacked?: boolean;
      splits?: readonly number[];
    } = {},
  ): Files {
    const shown = this.leaves.map((leaf) => this.#recordOf(leaf, selection, found));
    const files: Files = new Map();
    const put = (path: string, text: string | Buffer) => files.set(path, Buffer.from(text));
    put(bundleFiles.format, 'format\n');
    put(bundleFiles.verifier, 'verifier\n');
    put(bundleFiles.policy, this.policy());
    put(bundleFiles.checkpoint, this.checkpoint());
    put(bundleFiles.selection, writeSelection(selection));
    const statements = this.leaves.filter((_, index) => shown[index] === 'statement');
    put(bundleFiles.statements, statements.map(({ text }) => `${text}\n`).join(''));
    const readers = new Set(statements.map(({ number }) => number));
    const lines = this.reads.filter((line) => readers.has(Number((JSON.parse(line) as { source: number }).source)));
    if (lines.length > 0 && kindOf(selection) !== 'search')
      put(bundleFiles.reads, lines.map((line) => `${line}\n`).join(''));
    for (const [path, bytes] of this.#records(shown, splits))
      put(isPacked ? `${path}.gz` : path, isPacked ? gzipSync(bytes) : bytes);
    for (const [index, note] of anchors.entries()) put(`anchors/${index}`, note);
    return listed(files);
  }

  #recordOf(
    { index, number, text, data, timeUs }: TestLeaf,
    { source, since, before, query }: Selection,
    found: ReadonlySet<number>,
  ): 'statement' | 'E' | 'L' | 'D' | 'S' {
    const isOfSource = source === null || number === source;
    if (query !== null) {
      if (text === undefined) return found.has(index) ? 'E' : 'S';
      if (number === 0) return 'statement';
      const isFound = [...found].some((event) => this.leaves[event]?.number === number);
      const { type, event } = JSON.parse(text) as { type: string; event?: number };
      const isLast = !this.leaves
        .slice(index + 1)
        .some((leaf) => leaf.number === number && leaf.text?.includes('"coverage"'));
      const isOwn =
        type === 'source' || (type === 'change' && found.has(event ?? -1)) || (type === 'coverage' && isLast);
      return isFound && isOwn ? 'statement' : 'S';
    }
    if (text !== undefined) return number === 0 || isOfSource ? 'statement' : 'S';
    if (!isOfSource) return 'S';
    if (this.dropped.has(index)) return 'D';
    const us = (instant: string) => BigInt(Date.parse(instant)) * 1_000n;
    const isOfTime =
      timeUs === undefined || ((since === null || us(since) <= timeUs) && (before === null || timeUs < us(before)));
    return data !== undefined && isOfTime ? 'E' : 'L';
  }

  *#records(shown: readonly string[], splits: readonly number[]): Generator<[string, Buffer]> {
    const files = new Map<number, Buffer[]>();
    for (let index = 0; index < this.size; ) {
      const leaf = this.leaves[index] as TestLeaf;
      const number = Math.floor(index / LEAVES_PER_FILE);
      const put = (...records: Buffer[]) => files.set(number, [...(files.get(number) ?? []), ...records]);
      const [data, raw] = [leaf.data ?? Buffer.alloc(0), leaf.raw ?? Buffer.alloc(0)];
      let height = 0;
      const kind = shown[index];
      if (kind === 'E')
        put(
          writeRecord({ kind: 'E', leaf: data, raw }),
          ...this.contents(index).map((later) => writeRecord({ kind: 'C', raw: later })),
        );
      else if (kind === 'L') put(writeRecord({ kind: 'L', leaf: data }));
      else if (kind === 'D') put(writeRecord({ kind: 'D', number: leaf.number, hash: leaf.hash }));
      else if (kind === 'S') {
        const isHidden = (to: number) =>
          to <= this.size &&
          shown.slice(index, to).every((one) => one === 'S') &&
          !splits.some((split) => index < split && split < to);
        while (index % 2 ** (height + 1) === 0 && isHidden(index + 2 ** (height + 1))) height += 1;
        const fold = new Fold();
        for (const { hash } of this.leaves.slice(index, index + 2 ** height)) fold.push(hash);
        put(writeRecord({ kind: 'S', height, hash: fold.root() }));
      }
      index += 2 ** height;
    }
    for (const [number, records] of files) yield [leavesFile(number, false), Buffer.concat(records)];
  }

  /** A content that two changes name stands once. */
  contents(index: number): Buffer[] {
    const contents = this.changes.get(index) ?? [];
    return contents.filter((one, place) => contents.findIndex((other) => other.equals(one)) === place);
  }
}

export const NO_FILTER = '0'.repeat(64);
export const hashOfLines = (lines: readonly string[]): string =>
  sha256(Buffer.from(lines.map((line) => `${line}\n`).join(''))).toString('hex');

/** With a README.txt that lists them: who changes a bundle can write that, too. */
export const listed = (files: Files): Files => {
  const others = [...files].filter(([path]) => path !== bundleFiles.readme);
  const list = writeList(others.map(([path, bytes]) => [path, sha256(bytes).toString('hex')]));
  return new Map([...others, [bundleFiles.readme, Buffer.from(`A bundle\n${list}`)]]);
};

export const readerOf = (files: Files, pieceBytes = 1_000_000, others: readonly string[] = []): BundleReader => {
  const plain = async function* (path: string) {
    const bytes = files.get(path) ?? Buffer.alloc(0);
    for (let start = 0; start < bytes.length; start += pieceBytes)
      yield Buffer.from(bytes.subarray(start, start + pieceBytes));
  };
  return {
    paths: [...files.keys()].sort(),
    others,
    sha256: async (path) =>
      createHash('sha256')
        .update(files.get(path) ?? '')
        .digest('hex'),
    pieces: (path, isPacked = false) => (isPacked ? unpacked(Readable.from(plain(path))) : plain(path)),
  };
};

export const writeFiles = (folder: string, files: Files): void => {
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), bytes);
  }
};

/** All that a log can have: two sources, later contents, a hold, a drop, a rotation, coverage. */
export const richLog = (): TestLog => {
  const log = new TestLog();
  log.begin();
  log.source(1);
  log.event(1);
  log.event(1, { day: 5 });
  log.source(2);
  for (let n = 0; n < 5; n += 1) log.event(2, { day: 6 + n });
  log.position += 1_000_000;
  log.coverage(1, [[at(4), at(11)]], { again: [[at(5), at(8)]] });
  log.coverage(2, [[at(4), at(11)]]);
  log.change(2, '{"id":"e-1","later":true}');
  log.hold(1, 1, { since: at(1), before: '2026-02-01T00:00:00.000000Z' });
  log.event(1, { timeless: true });
  for (let n = 0; n < 9; n += 1) log.event(2, { day: 15 });
  log.coverage(1, [[at(4), at(12)]], {}, [[at(11), at(12)]]);
  log.coverage(2, [[at(4), at(11)]], {}, []);
  log.drop([[5, 8]]);
  log.state('note', 0, { at: '2026-09-01T00:00:01.000000Z', about: 'clock', facts: {} });
  return log;
};
