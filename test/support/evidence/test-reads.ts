import { createHash } from 'node:crypto';
import type { ReadRow } from '../../../src/evidence/bundle/records.ts';
import type { StatementOf } from '../../../src/evidence/journal/statement.ts';

type Reads = NonNullable<StatementOf<'coverage'>['reads']>;

const sha256 = (...parts: readonly Uint8Array[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();
const rowsOf = (lines: readonly string[], count: number) => ({
  count,
  sha256: lines
    .slice(0, count)
    .reduce<Buffer>((before, line) => sha256(before, sha256(Buffer.from(line))), Buffer.alloc(32))
    .toString('hex'),
});

/** The list of requests of each source, as a database would have it: from memory, and with means to tamper. */
export class TestReads {
  readonly lines = new Map<string, string[]>();
  /** Rows up to this one are gone. */
  readonly #after = new Map<string, number>();

  /** So many more rows of a source. */
  add(sourceId: string, count: number, other: Partial<ReadRow> = {}): this {
    const lines = this.lines.get(sourceId) ?? [];
    for (let more = 0; more < count; more += 1)
      lines.push(JSON.stringify({ ...rowOf(sourceId, lines.length + 1), ...other }));
    this.lines.set(sourceId, lines);
    return this;
  }

  /** From the next statement on, the first rows are no longer promised, and not in the bundle. */
  forget(sourceId: string, count: number): this {
    this.#after.set(sourceId, count);
    return this;
  }

  /** What a statement says of a source now; null if it never had a row. */
  stated(sourceId: string): Reads | null {
    const lines = this.lines.get(sourceId);
    if (lines === undefined) return null;
    return { ...rowsOf(lines, lines.length), after: rowsOf(lines, this.#after.get(sourceId) ?? 0) };
  }

  text(): string {
    const sources = [...this.lines].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const kept = sources.flatMap(([source, lines]) => lines.slice(this.#after.get(source) ?? 0));
    return kept.map((line) => `${line}\n`).join('');
  }
}

const rowOf = (sourceId: string, number: number): ReadRow => ({
  number,
  source_kind: 'organization',
  source_id: sourceId,
  read_at: '2026-02-01T00:00:00.000001Z',
  lane: 'live',
  filter_hash: '',
  since: `2026-01-${String(1 + (number % 28)).padStart(2, '0')}T00:00:00Z`,
  before: '2026-02-01T00:00:00Z',
  pages: 1,
  entries: number,
  answers: 2,
  first_date: '2026-02-01T00:00:00Z',
  first_cf_ray: `${String(number).padStart(16, '0')}-FRA`,
  last_date: null,
  last_cf_ray: null,
  bodies_sha256: sha256(Buffer.from(`${sourceId} ${number}`)).toString('hex'),
});
