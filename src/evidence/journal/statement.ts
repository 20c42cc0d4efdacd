import { z } from 'zod';
import { microsecondsOf } from './instants.ts';

/** RFC 3339 in UTC, to the microsecond. */
export const instant = z.string().refine((text) => microsecondsOf(text) !== undefined, { error: 'is no instant' });

/* Texts and numbers that every JSON parser reads the same: hashes in lower-case hex, instants in UTC, numbers below 2⁵³. */

export const count = z.int().nonnegative();

/** As it was when the statement was made. */
const tree = z.object({
  origin: z.string().min(1),
  size: count,
  /** In base64, as the checkpoint has it. */
  root: z.string().regex(/^[A-Za-z0-9+/]{43}=$/),
});

/* A contract: a verifier reads statements of all versions. New fields go at the end; unknown ones are ignored. */

/** `at`: by the clock of the database. `tree`: of `events` at that moment. */
const common = { at: instant, tree };
const source = { source_kind: z.string().min(1), source_id: z.string().min(1) };

/** The first statement of a log: whose it is, and up to where events are older than it. */
const genesis = z.object({
  type: z.literal('genesis'),
  ...common,
  /** Of orgtrail. */
  version: z.string(),
  feed_id: z.string(),
  /** Of both logs. */
  vkeys: z.array(z.string()),
  /** The shortest retention that is allowed, as PostgreSQL writes an interval; null if none is. */
  retention: z.string().nullable(),
  /** Positions up to this one were there before: integrity holds for them from here on, not from their receipt. */
  adopted: count,
});

/** Before the first leaf of a source is in the tree: its number in the sources of tiles. */
const sourceStatement = z.object({
  type: z.literal('source'),
  ...common,
  number: z.int().min(1).max(65_535),
  kind: z.string().min(1),
  id: z.string().min(1),
  organization_id: z.string().nullable(),
});

/** The start may be `-infinity`. */
const timeRange = z
  .tuple([z.union([instant, z.literal('-infinity')]), instant])
  .refine(([from, to]) => (microsecondsOf(from) ?? microsecondsOf(to) ?? 0n) <= (microsecondsOf(to) ?? 0n), {
    error: 'ends before it starts',
  });

const hole = z.object({ pass: z.int(), range: timeRange, reason: z.string(), attempts: count, found_at: instant });
const reading = z.object({
  range: timeRange,
  method: z.string(),
  /** Of the pass or round; 0 for the first reading. */
  number: count,
  direction: z.enum(['asc', 'desc']),
  /** Entries that it was the first to find. */
  found: count,
  /** When the first and the last part of it were read. */
  read_from: instant,
  read_to: instant,
});

export const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/);

/** Rows of the list of requests of a source, and their hash. */
const rowsOfReads = z.object({ count, sha256: sha256Hex });
const timeRanges = z.array(timeRange);

/** Which time of a source is proven to be read, and how many leaves of it there are: also if nothing happened. */
const coverage = z.object({
  type: z.literal('coverage'),
  ...common,
  ...source,
  /** What is collected of the source: the canonical text, '' for everything, and the hash that names it in the database. */
  filter: z.object({ text: z.string(), hash: z.string() }),
  wanted_since: instant.nullable(),
  passes: z.array(z.object({ pass: z.int(), ranges: timeRanges })),
  /** Leaves of the source among the first `tree.size`, and their chain. */
  events: count,
  chain: sha256Hex,
  /** Commits of pages of this source so far. */
  commits: count,
  /** Cloudflare's clock, as the last answer had it. */
  server_time: instant.nullable(),
  /** The requests so far. Null if no list is kept. */
  reads: rowsOfReads
    .extend({
      /** Rows that may be gone; absent: none. */
      after: rowsOfReads.optional(),
    })
    .nullable(),
  /** When all of this but the leaves was read, by the clock of the database: no range ends later. */
  as_of: instant.optional(),
  /** Time that cannot be had, with the reason: it is within no range of its pass. */
  holes: z.array(hole).optional(),
  /** How and when time was read last, the newest time last. */
  readings: z.array(reading).optional(),
  /** What there is beyond the limits of a statement: ranges that are claimed less, holes and readings that are not named. */
  left_out: z.object({ ranges: count, holes: count, readings: count }).optional(),
  /** The newest time that was read a second time, a day or more after it was first read. The rest was read once. */
  read_again: timeRanges.optional(),
});

/** Cloudflare served other content for an event that was already stored. */
const change = z.object({
  type: z.literal('change'),
  ...common,
  position: count,
  event_id: z.string(),
  /** Of the later content. */
  raw_sha256: sha256Hex,
  length: count,
  seen_at: instant,
});

/** A month of UTC as `monthOf` names it: that of the events whose payload goes with one key. */
const month = z.string().regex(/^(?:(?:\d{4}|[+-]\d{6})-(?:0[1-9]|1[0-2])|-infinity)$/);

/** [from, to). */
const positionRanges = z.array(
  z.tuple([count, count]).refine(([from, to]) => from >= 1 && from < to, { error: 'is no range of positions' }),
);

/** A month was dropped. If its positions take more than a statement, it goes in parts. */
const drop = z.object({
  type: z.literal('drop'),
  ...common,
  month,
  events: count,
  /** Of the ids of the month, as retention_drops has it. */
  ids_sha256: sha256Hex.nullable(),
  /** What was in force, as PostgreSQL writes an interval. */
  retention: z.string(),
  account: z.string(),
  /** Legal holds in force. */
  holds: z.array(count),
  positions: positionRanges,
  part: z.int().min(1),
  parts: z.int().min(1),
  /** Absent in the first version of statements. */
  dropped_at: instant.optional(),
});

/** Positions were left out after a failover: they never had an event. Their leaves are holes. */
const jump = z.object({
  type: z.literal('jump'),
  ...common,
  id: count,
  positions: positionRanges,
  old_timeline: z.string(),
  new_timeline: z.string(),
  found_at: instant,
});

/** The clock of the database is another one from here on: what statements say of when is as true as that. */
const clock = z.object({
  type: z.literal('clock'),
  ...common,
  /** It has shown this time before, which is later than `at`: it went back. Null: it did not. */
  before: instant.nullable(),
  /** How many seconds it was ahead of Cloudflare's when they were last compared, less than 0 if behind; null: they never were. */
  ahead_seconds: z.int().nullable(),
  compared_at: instant.nullable(),
});

/** A legal hold was added or released: its row. Names and reasons stay in the journal. */
const hold = z.object({
  type: z.literal('hold'),
  ...common,
  action: z.enum(['added', 'released']),
  id: count,
  organization_id: z.string().nullable(),
  account_id: z.string().nullable(),
  since: instant.nullable(),
  before: instant.nullable(),
  reason: z.string(),
  created_by: z.string().nullable(),
  created_as: z.string(),
  created_at: instant,
  released_by: z.string().nullable(),
  released_as: z.string().nullable(),
  released_at: instant.nullable(),
});

/** The key of the logs changes. */
const key = z.object({
  type: z.literal('key'),
  ...common,
  reason: z.enum(['rotation', 'lost', 'compromised']),
  /** Of both logs. */
  old_vkeys: z.array(z.string()),
  new_vkeys: z.array(z.string()),
  /** The first size of `events` that the new key signs. */
  first_size: count,
  /** Until then the old keys sign as well; absent: they sign nothing any more. */
  old_signs_until: instant.optional(),
  by: z.string().optional(),
});

/** The tree is the same before and after it. */
const schema = z.object({
  type: z.literal('schema'),
  ...common,
  from_version: z.string(),
  to_version: z.string(),
  size_before: count,
  size_after: count,
});

/** The first statement of a later generation: where the one before ended. */
const fork = z.object({
  type: z.literal('fork'),
  ...common,
  /** The last anchored checkpoint of the generation before, verbatim. */
  last_note: z.string(),
  /** So many leaves are the same in both. */
  common_size: count,
  cause: z.string(),
  by: z.string(),
  version: z.string().optional(),
  feed_id: z.string().optional(),
  vkeys: z.array(z.string()).optional(),
  retention: z.string().nullable().optional(),
  /** Of these positions, those after `common_size` were not under a checkpoint before the fork. */
  adopted: count.optional(),
  /** Keys of earlier generations that this one does not begin with: what was kept under them can still be compared. */
  old_vkeys: z.array(z.string()).optional(),
  /** Those that were stolen. */
  stolen_vkeys: z.array(z.string()).optional(),
  /** That of the generation before, as it was stored: its statements are not in this journal. */
  old_journal: tree.optional(),
});

/** The last statement of a log that an operator has ended. */
const end = z.object({ type: z.literal('end'), ...common, reason: z.string(), by: z.string() });

const timestamp = z.object({
  type: z.literal('timestamp'),
  ...common,
  anchor: z.string(),
  token_sha256: sha256Hex,
  /** Of the journal. */
  checkpoint: tree,
});

/** An object of the archive was written, read back and entered in the catalogue: its row. */
const archive = z.object({
  type: z.literal('archive'),
  ...common,
  id: count,
  /** events, or changes: later contents of events. */
  kind: z.string().min(1),
  month,
  first_position: count,
  last_position: count,
  events: count,
  bytes: count,
  sha256: sha256Hex,
  /** As the archive's footer has them. */
  ids_sha256: sha256Hex,
  raw_sha256: sha256Hex,
  written_at: instant,
});

export const statement = z.discriminatedUnion('type', [
  genesis,
  sourceStatement,
  coverage,
  change,
  drop,
  jump,
  clock,
  hold,
  key,
  schema,
  fork,
  timestamp,
  end,
  archive,
]);
export type Statement = z.infer<typeof statement>;
export type StatementOf<T extends Statement['type']> = Extract<Statement, { type: T }>;

/** A statement of a later version: all that is known of it. */
export const unknownStatement = z.object({ type: z.string().min(1), ...common });
export type StatedTree = z.infer<typeof tree>;
/** [first position, position after the last]. */
export type PositionRange = readonly [from: number, to: number];
