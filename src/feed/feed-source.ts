import type { Logger } from 'pino';
import { OrgtrailError } from '../errors.ts';
import { coalesced } from '../limits/coalesced.ts';
import { PieceMemory } from '../limits/piece-memory.ts';
import type { DatabaseUrl } from '../postgres/database-url.ts';
import { openPool } from '../postgres/open-pool.ts';
import { createClient, type Pool } from '../postgres/pool.ts';
import { compareTimeline } from '../postgres/position-jumps.ts';
import {
  hasFeedEvents,
  positionOfNth,
  readFeedHead,
  readMissedEvents,
  readOrganizationNames,
  readPositionCheck,
} from './feed.sql.ts';
import type { FeedSource } from './feed.ts';
import { readPieces } from './feed-pieces.ts';
import { createFeedSignal, type FeedSignal } from './feed-signal.sql.ts';

/** Each reader holds one for a chunk only, so many readers share them. */
const CONNECTIONS = 4;

export interface Feed {
  readonly source: FeedSource;
  close(): Promise<void>;
}

/** Opens the feed of a database, on connections of its own: readers and ingestion do not wait for each other. */
export const openFeed = (databaseUrl: DatabaseUrl, logger: Logger, memory = new PieceMemory()): Feed => {
  const { pool, close } = openPool({ url: databaseUrl, size: CONNECTIONS, sharedFor: 'the feed', logger });
  const signal = createFeedSignal({
    createClient: () => createClient(databaseUrl),
    pool,
    headPosition: async () => (await readFeedHead(pool)).position,
    onFallback: (reason) => logger.info({ reason }, 'LISTEN/NOTIFY unavailable; polling for new events every second'),
  });
  return {
    source: createFeedSource(pool, signal, memory),
    close: async () => {
      signal.close();
      await close();
    },
  };
};

/** Joins the statements of the store and the formats to what the feed over HTTP and the command `feed` need. */
const createFeedSource = (pool: Pool, signal: FeedSignal, memory: PieceMemory): FeedSource => {
  // Each commit wakes all that wait, and all of them ask.
  const readHead = coalesced(() => readFeedHead(pool));
  const readNames = coalesced(() => readOrganizationNames(pool));
  return {
    head: async (after = 0) => {
      const head = await readHead();
      if (after <= head.position) return head;
      let compared = await compareHead(pool);
      // Promoted between the two statements: the timeline has not been compared yet.
      if (head.isStandby && !compared.isStandby && after > compared.position) compared = await compareHead(pool);
      if (after > compared.position && compared.isStandby) throw notArrived(after, compared.position);
      return compared;
    },
    checkOf: (position) => readPositionCheck(pool, position),
    endOf: (range, limit) => positionOfNth(pool, range, limit),
    hasEvents: (range) => hasFeedEvents(pool, range),
    waitBeyond: (position, timeoutMs, abort) => signal.waitBeyond(position, timeoutMs, abort),
    missedBehind: (position, knownDrop) => readMissedEvents(pool, position, knownDrop),
    pieces: (head, range, format, gone) => readPieces({ pool, memory, range, format, gone, readNames }, head),
  };
};

const compareHead = async (pool: Pool) => {
  await pool.query(compareTimeline);
  return await readFeedHead(pool);
};

const notArrived = (after: number, position: number): OrgtrailError =>
  new OrgtrailError('database_unreachable', `this standby is at position ${position} and does not have ${after} yet`, {
    hint: 'ask again, or ask the primary',
  });
