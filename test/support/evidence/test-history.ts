import {
  type BundleReader,
  bundleFiles,
  checkpointPath,
  logTilePath,
  payloadPath,
  tileSourcesPath,
} from '../../../src/evidence/bundle/layout.ts';
import { type PayloadRecord, PayloadSplitter, writePayloadRecord } from '../../../src/evidence/bundle/records.ts';
import { rangesOf } from '../../../src/evidence/journal/ranges.ts';
import { type Statement, type StatementOf, statement } from '../../../src/evidence/journal/statement.ts';
import { writeJournal, writeStatement } from '../../../src/evidence/journal/statement-text.ts';
import {
  chained,
  chainStart,
  type EventLeaf,
  holeLeaf,
  journalLeaf,
  monthOf,
  NO_SOURCE,
  rawFacts,
  saltOf,
  writeEventLeaf,
  writeTileSources,
} from '../../../src/evidence/leaf.ts';
import type { LogName } from '../../../src/evidence/notes/checkpoint.ts';
import { writeCheckpoint } from '../../../src/evidence/notes/checkpoint.ts';
import { writePolicy } from '../../../src/evidence/notes/policy.ts';
import { writeNote } from '../../../src/evidence/notes/signed-note.ts';
import { GrowingTree } from '../../../src/evidence/tree/growing-tree.ts';
import { leafHash, TILE_WIDTH, tilesOfLevel } from '../../../src/evidence/tree/tiles.ts';
import type { Report } from '../../../src/evidence/verify/report.ts';
import { type VerifierOptions, verificationOf } from '../../../src/evidence/verify/verify-bundle.ts';
import { logSigner, type TestSigner, witnessSigner } from './test-keys.ts';
import { TestReads } from './test-reads.ts';

const originOf = (generation: number): string =>
  `audit.example.com/evidence/1f2e3d4c-5b6a-4798-8192-a3b4c5d6e7f8.${generation}`;
export const eventsOrigin = `${originOf(1)}/events`;
const witness = { name: 'w1', ...witnessSigner('witness.example.com/w1') };

/** What a database would have of an event: a payload, or none after a drop; nothing but a hole if it went before it was hashed. */
export interface TestEvent {
  readonly sourceId: string;
  /** Default: organization. */
  readonly sourceKind?: 'organization' | 'account';
  readonly raw: string;
  readonly actionTimeUs: bigint | undefined;
  readonly receivedAtUs: bigint;
  /** What the leaf says of the length of raw, if not the truth. */
  readonly statedBytes?: number;
}

type Fields<T extends Statement['type']> = Omit<StatementOf<T>, 'type' | 'at' | 'tree'>;
type AnyFields = { [T in Statement['type']]: { readonly type: T } & Fields<T> }[Statement['type']];

/**
 * A feed, its two logs and what a bundle has of these. As the daemon would build it, but from memory, and with means to tamper: what is
 * changed later is not hashed again, unless a new history is made.
 */
export class TestHistory {
  /** By index; undefined: a hole. */
  readonly events: (TestEvent | undefined)[] = [];
  readonly leaves: Buffer[] = [];
  readonly dropped = new Set<number>();
  readonly statements: string[] = [];
  readonly reads = new TestReads();
  readonly #tree = new GrowingTree();
  readonly #origin: string;
  readonly #signers: Readonly<Record<LogName, TestSigner>>;
  readonly #sources = new Map<string, number>();
  at = Date.parse('2026-03-01T00:00:00Z');

  constructor(generation = 1, word?: string) {
    this.#origin = originOf(generation);
    this.#signers = {
      events: logSigner(`${this.#origin}/events`, word),
      journal: logSigner(`${this.#origin}/journal`, word),
    };
  }

  get size(): number {
    return this.events.length;
  }

  append(...events: readonly (TestEvent | undefined)[]): this {
    for (const event of events) {
      if (event !== undefined && !this.#sources.has(event.sourceId)) this.#addSource(event);
      this.events.push(event);
      const leaf = event === undefined ? holeLeaf(this.size) : leafOf(this.size, event);
      this.leaves.push(leaf);
      this.#tree.append(leafHash(leaf));
    }
    return this;
  }

  #addSource({ sourceId: id, sourceKind: kind = 'organization' }: TestEvent): void {
    const number = this.#sources.size + 1;
    this.#sources.set(id, number);
    this.state({ type: 'source', number, kind, id, organization_id: kind === 'organization' ? id : null });
  }

  /** Appends a statement about the tree as it is, also one that no builder makes. */
  state(fields: AnyFields): this {
    const tree = { origin: `${this.#origin}/events`, size: this.size, root: this.#tree.root().toString('base64') };
    const { type, ...rest } = fields;
    this.at += 1_000;
    const value = { type, at: new Date(this.at).toISOString(), tree, ...rest } as Statement;
    this.statements.push(statement.safeParse(value).success ? writeStatement(value) : JSON.stringify(value));
    return this;
  }

  stateCoverage(sourceId: string, other: Partial<Fields<'coverage'>> = {}): this {
    let chain = chainStart;
    for (const [index, leaf] of this.leaves.entries()) {
      if (this.events[index]?.sourceId === sourceId) chain = chained(chain, leafHash(leaf));
    }
    return this.state({
      type: 'coverage',
      source_kind: 'organization',
      source_id: sourceId,
      filter: { text: '', hash: '' },
      wanted_since: '2025-12-01T00:00:00Z',
      passes: [{ pass: 0, ranges: [['2025-12-01T00:00:00Z', new Date(this.at).toISOString()]] }],
      events: chain.events,
      chain: Buffer.from(chain.chain).toString('hex'),
      commits: 1,
      server_time: null,
      reads: this.reads.stated(sourceId),
      // Later than what tests state as read.
      ...(other.passes !== undefined && { as_of: '2026-06-01T00:00:00Z' }),
      ...other,
    });
  }

  checkpoint(log: LogName, cosigned = true): Buffer {
    const tree = log === 'events' ? this.#tree : journalTree(this.statements);
    const text = writeCheckpoint({ origin: this.#signers[log].key.name, size: tree.size, root: tree.root() });
    const signatures = [this.#signers[log].sign(text), ...(cosigned ? [witness.sign(text)] : [])];
    return Buffer.from(writeNote({ text, signatures }));
  }

  policy(): string {
    return writePolicy([this.#signers.events.key, this.#signers.journal.key], [witness], 1);
  }

  /** All files, by path. */
  bundle(): Map<string, Buffer> {
    const files = new Map<string, Buffer>();
    files.set(bundleFiles.policy, Buffer.from(this.policy()));
    files.set(bundleFiles.journalEntries, Buffer.from(writeJournal(this.statements)));
    for (const log of ['events', 'journal'] as const) {
      files.set(checkpointPath(log), this.checkpoint(log));
      const hashed = log === 'events' ? this.leaves : this.statements.map(journalLeaf);
      const tree = new GrowingTree();
      for (const leaf of hashed) tree.append(leafHash(leaf));
      for (const tile of tree.takeTiles()) files.set(logTilePath(log, tile), tile.hashes);
    }
    for (const tile of tilesOfLevel(this.size, 0)) {
      const events = this.events.slice(tile.n * TILE_WIDTH, tile.n * TILE_WIDTH + tile.width);
      const numbers = events.map((event) => this.#sources.get(event?.sourceId ?? '') ?? NO_SOURCE);
      files.set(tileSourcesPath(tile), writeTileSources(numbers));
    }
    const records = this.events.flatMap((event, index) =>
      event === undefined || this.dropped.has(index + 1)
        ? []
        : [writePayloadRecord({ leaf: this.leaves[index] as Buffer, raw: Buffer.from(event.raw) })],
    );
    if (this.size > 0) files.set(payloadPath(0), Buffer.concat(records));
    const reads = this.reads.text();
    if (reads !== '') files.set(bundleFiles.journalReads, Buffer.from(reads));
    return files;
  }
}

const journalTree = (texts: readonly string[]): GrowingTree => {
  const tree = new GrowingTree();
  for (const text of texts) tree.append(leafHash(journalLeaf(text)));
  return tree;
};

const leafOf = (
  position: number,
  { sourceId, sourceKind = 'organization', raw, actionTimeUs, receivedAtUs, statedBytes }: TestEvent,
): Buffer => {
  const monthKey = Buffer.alloc(32, monthOf(actionTimeUs));
  const leaf: EventLeaf = {
    salt: saltOf(monthKey, position),
    position,
    receivedAtUs,
    actionTimeUs,
    sourceKind,
    sourceId,
    organizationId: sourceId,
    id: `id-${position}`,
    defects: actionTimeUs === undefined ? ['time_missing'] : [],
    ...rawFacts(Buffer.from(raw)),
    ...(statedBytes === undefined ? {} : { rawBytes: statedBytes }),
  };
  return writeEventLeaf(leaf);
};

/** An event of December 2025 or January 2026. */
export const testEvent = (number: number, sourceId: string, month: '2025-12' | '2026-01' | undefined): TestEvent => ({
  sourceId,
  raw: `{"id":"e${number}","action":{"type":"\u00e9"}}`,
  actionTimeUs: month === undefined ? undefined : BigInt(Date.parse(`${month}-10T00:00:00Z`)) * 1_000n,
  receivedAtUs: 1_767_225_600_000_000n + BigInt(number),
});

/** A log that has begun, and has no event yet. */
export const begun = (adopted = 0, history = new TestHistory()): TestHistory =>
  history.state({ type: 'genesis', version: '0.3.0', feed_id: 'f', vkeys: [], retention: '28 days', adopted });

/** Three sources, 280 events: adopted with two holes, the events of December dropped, everything covered. */
export const usualHistory = (): TestHistory => {
  const history = begun(20);
  history.append(undefined, undefined);
  for (let number = 2; number < 280; number += 1) {
    const month = number % 90 === 7 ? undefined : number < 120 ? '2025-12' : '2026-01';
    history.append(testEvent(number, ['o1', 'o2', 'o3'][number % 3] ?? '', month));
    if (number === 150) history.stateCoverage('o1');
  }
  return dropDecember(history).stateCoverage('o1').stateCoverage('o2').stateCoverage('o3');
};

/** Drops the events of December 2025 and says so. */
export const dropDecember = (history: TestHistory, other: Partial<Fields<'drop'>> = {}): TestHistory => {
  const positions = history.events.flatMap((event, index) =>
    event?.actionTimeUs !== undefined && monthOf(event.actionTimeUs) === '2025-12' ? [index + 1] : [],
  );
  for (const position of positions) history.dropped.add(position);
  return history.state({
    type: 'drop',
    month: '2025-12',
    events: positions.length,
    ids_sha256: null,
    retention: '28 days',
    account: 'orgtrail',
    holds: [],
    positions: rangesOf(positions).map(([from, to]) => [from, to]),
    part: 1,
    parts: 1,
    ...other,
  });
};

/** Reads a bundle from memory. */
export const readerOf = (files: ReadonlyMap<string, Buffer>): BundleReader => ({
  paths: [...files.keys()],
  read: (path) => files.get(path),
});

/** With files of payload that fit into memory. */
export const verifyBundle = (reader: BundleReader, options: VerifierOptions = {}): Report => {
  const steps = verificationOf(reader, options);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
    value.take(reader.read(value.path) ?? Buffer.alloc(0));
  }
};

export const recordsOf = (files: ReadonlyMap<string, Buffer>): PayloadRecord[] => [
  ...new PayloadSplitter().push(files.get(payloadPath(0)) ?? Buffer.alloc(0)),
];
