import pino from 'pino';
import { expect, test } from 'vitest';
import { openFeed } from '../../../src/feed/feed-source.ts';
import { FormatThreads, THREAD_FILE } from '../../../src/feed/formatting/format-threads.ts';
import { readFeedHead } from '../../../src/feed/head/feed-head.sql.ts';
import { ReaderMemory } from '../../../src/limits/reader-memory.ts';
import { packageFile } from '../../../src/package/package-files.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { commit, entryText, newSource, T0 } from '../../support/postgres/store-fixture.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';

test('nothing is written to memory that has been given back, whenever a reader goes', async () => {
  const database = await createTestDatabase();
  const memory = new MarkedMemory({ totalBytes: 4 * MIB, streams: 4 });
  const threads = new FormatThreads({ onFailure: () => {}, maxThreads: 2, file: packageFile(THREAD_FILE) });
  const feed = openFeed(database.url, pino({ level: 'silent' }), { memory, threads });
  try {
    const random = seededRandom(1);
    const sizes = Array.from({ length: 900 }, (_, n) => (n % 100 === 50 ? 300_000 : Math.floor(random() * 2_000)));
    const texts = sizes.map((size, n) => entryText(`e-${n}`, T0 + n, { blob: 'x'.repeat(size) }));
    await commit(database.pool, await newSource(database.pool, 'o'), texts);
    const { feedId, position } = await readFeedHead(database.pool);
    const read = async (): Promise<void> => {
      const gone = new AbortController();
      const range = { after: Math.floor(random() * 300), until: position, organizationIds: undefined };
      let left = Math.floor(random() * 4);
      const timer = setTimeout(() => gone.abort(), random() * 200);
      for await (const { lines } of feed.source.pieces({ feedId, lastDrop: 0 }, range, 'ocsf', gone.signal)) {
        expect(lines.toString('latin1', 0, 12)).toBe('{"class_uid"');
        left -= 1;
        if (left < 0) break;
      }
      clearTimeout(timer);
    };
    for (let round = 0; round < 12; round += 1) {
      const outcomes = await Promise.allSettled([read(), read(), read(), read()]);
      const errors = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason.name] : []));
      expect(errors.filter((name) => name !== 'AbandonedError' && name !== 'AbortError')).toEqual([]);
      expect(memory.lentBytes).toBe(0);
    }
  } finally {
    await feed.close();
    await database.close();
  }
  expect(memory.written()).toBe(0);
});

const MIB = 1_048_576;
const MARK = 0xa5;

/** Lends other memory each time, and marks what is given back: a write that comes later is seen at the end. */
class MarkedMemory extends ReaderMemory {
  readonly #lent = new Map<Buffer, Buffer>();
  readonly #givenBack: Buffer[] = [];

  override lend(...how: Parameters<ReaderMemory['lend']>): Buffer {
    return this.#another(super.lend(...how));
  }

  override lendSpare(...how: Parameters<ReaderMemory['lendSpare']>): Buffer | undefined {
    const buffer = super.lendSpare(...how);
    return buffer && this.#another(buffer);
  }

  override async lendLarge(...how: Parameters<ReaderMemory['lendLarge']>): Promise<Buffer> {
    return this.#another(await super.lendLarge(...how));
  }

  override giveBack(buffer: Buffer): void {
    super.giveBack(this.#lent.get(buffer) ?? buffer);
    this.#lent.delete(buffer);
    this.#givenBack.push(buffer.fill(MARK));
  }

  written(): number {
    return this.#givenBack.filter((buffer) => !buffer.equals(Buffer.alloc(buffer.length, MARK))).length;
  }

  #another(buffer: Buffer): Buffer {
    const other = Buffer.from(new SharedArrayBuffer(buffer.length));
    this.#lent.set(other, buffer);
    return other;
  }
}
