import { Client } from 'pg';
import { pause } from '../pause.ts';

const PAGE = 2_000;
/** So often a range that was read before is read again. */
const REREAD_EVERY = 10;
const IDLE_MS = 100;
const RECONNECT_MS = 200;
const KEPT_VIOLATIONS = 20;

/** An event as it was first read. */
export interface SeenEvent {
  readonly position: number;
  /** Source and id of the entry. */
  readonly key: string;
  /** MD5 of everything in the row. */
  readonly digest: string;
  /** MD5 of the entry's exact text. */
  readonly rawDigest: string;
}

/**
 * A consumer of the feed that trusts invariant 6 and nothing else: it asks for what is behind its last position, for as long
 * as the run lasts, across restarts of the database. Notes every gap, repeat, lower position and changed row.
 */
export class FeedReader {
  readonly #url: string;
  readonly #random: () => number;
  readonly #seen: SeenEvent[] = [];
  readonly #keys = new Set<string>();
  readonly #violations: string[] = [];
  #violationCount = 0;
  #pages = 0;

  constructor(url: string, random: () => number) {
    this.#url = url;
    this.#random = random;
  }

  /** Rows read so far. */
  get rows(): number {
    return this.#seen.length;
  }

  /** In the order in which they came. */
  get events(): readonly SeenEvent[] {
    return this.#seen;
  }

  get violationCount(): number {
    return this.#violationCount;
  }

  /** The first of them, in words. */
  get violations(): readonly string[] {
    return this.#violations;
  }

  /** Follows the feed until the signal aborts. */
  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#withClient(async (client) => {
        while (!signal.aborted) {
          const rows = await this.#readOn(client);
          if (this.#pages % REREAD_EVERY === 0) await this.#readAgain(client, Math.floor(this.#random() * this.rows));
          if (rows < PAGE) await pause(IDLE_MS, signal);
        }
      }).catch(() => pause(RECONNECT_MS, signal));
    }
  }

  /** Reads on to the end of the feed, then everything from its beginning again. Throws where the database is away. */
  async finish(): Promise<void> {
    await this.#withClient(async (client) => {
      while ((await this.#readOn(client)) > 0);
      for (let first = 0; first < this.rows; first += PAGE) await this.#readAgain(client, first);
    });
  }

  async #withClient(work: (client: Client) => Promise<void>): Promise<void> {
    const client = new Client({ connectionString: this.#url, connectionTimeoutMillis: 10_000 });
    // The statement under way fails as well: that is what is acted on.
    client.on('error', () => {});
    try {
      await client.connect();
      await work(client);
    } finally {
      await client.end().catch(() => {});
    }
  }

  async #readOn(client: Client): Promise<number> {
    const rows = await readFeed(client, this.#positionOf(this.rows - 1));
    this.#pages += 1;
    for (const row of rows) {
      const { position, key } = row;
      const expected = this.#positionOf(this.rows - 1) + 1;
      if (position !== expected) this.#violate(`position ${position} came where ${expected} was due`);
      if (this.#keys.has(key)) this.#violate(`entry ${key} came again at position ${position}`);
      this.#keys.add(key);
      this.#seen.push(row);
    }
    return rows.length;
  }

  /** Compares a page with what was seen there before, from the row with this index on. */
  async #readAgain(client: Client, first: number): Promise<void> {
    const rows = await readFeed(client, this.#positionOf(first - 1));
    const seen = this.#seen.slice(first, first + PAGE);
    // What both have in view: a row that vanished or came late moves the end of a page.
    const seenTo = seen.at(-1)?.position ?? 0;
    const readTo = rows.length < PAGE ? seenTo : Math.min(seenTo, rows.at(-1)?.position ?? 0);
    const digests = new Map(rows.map(({ position, digest }) => [position, digest]));
    for (const { position, digest } of seen.filter((row) => row.position <= readTo)) {
      const now = digests.get(position);
      if (now === undefined) this.#violate(`position ${position} was there and is not any more`);
      else if (now !== digest) this.#violate(`the row at position ${position} has changed`);
      digests.delete(position);
    }
    for (const position of digests.keys()) {
      if (position <= readTo) this.#violate(`position ${position} came after a later one`);
    }
  }

  #positionOf(index: number): number {
    return this.#seen[index]?.position ?? 0;
  }

  #violate(what: string): void {
    this.#violationCount += 1;
    if (this.#violations.length < KEPT_VIOLATIONS) this.#violations.push(what);
  }
}

const readFeed = async (client: Client, after: number): Promise<readonly SeenEvent[]> => {
  const { rows } = await client.query<SeenEvent>(
    `select position::float8 as position, concat_ws(' ', source_kind, source_id, id) as key,
       md5(concat_ws('|', source_kind, source_id, id, organization_id, action_time, received_at, raw::text, defects::text)) as digest,
       md5(raw::text) as "rawDigest"
     from audit_events where position > $1 order by position limit ${PAGE}`,
    [after],
  );
  return rows;
};
