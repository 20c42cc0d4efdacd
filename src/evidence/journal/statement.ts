import { z } from 'zod';
import { EvidenceFault } from '../bytes.ts';
import { tags } from '../leaf.ts';
import { MAX_LEAF_BYTES } from '../tree/tiles.ts';
import { microsecondsOf, timesOfMonth } from './instants.ts';
import { readStrictJson } from './strict-json.ts';

/* Chapters 4 and 7 of the format. A contract: fields that are not named here are left alone. */

export const instant = z.string().refine((text) => microsecondsOf(text) !== undefined, { error: 'is no instant' });
const count = z.int().nonnegative();
const hash = z.string().regex(/^[0-9a-f]{64}$/);
const text = z.string();
const number = z
  .int()
  .min(0)
  .max(2 ** 32 - 1);
const ofSource = number.min(1);

const ascend = <T>(of: (value: T) => bigint | number) => ({
  check: (ranges: readonly (readonly [T, T])[]): boolean =>
    ranges.every(([from, to], at) => {
      const before = ranges[at - 1];
      return of(from) < of(to) && (before === undefined || of(before[1]) < of(from));
    }),
});

const range = z
  .tuple([instant, instant])
  .refine(([from, to]) => (microsecondsOf(from) ?? 0n) < (microsecondsOf(to) ?? 0n), { error: 'is empty' });
const ranges = z
  .array(range)
  .refine(ascend<string>((at) => microsecondsOf(at) ?? 0n).check, { error: 'do not ascend, or touch' });
const indexes = z
  .array(z.tuple([count, count]))
  .refine(ascend<number>((at) => at).check, { error: 'do not ascend, or touch' });

/** `at`: by the clock of the database. `source`: whose leaf it is. */
const common = { index: count, at: instant, source: number };

const begin = z.object({
  type: z.literal('begin'),
  ...common,
  source: z.literal(0),
  format: z.literal(2),
  number: z.int().min(1).max(999_999_999),
  base: text,
  feed_id: text,
  key: hash,
  /** Of orgtrail. */
  version: text,
  /** The newest known checkpoint of the log before, verbatim. */
  previous: text.nullable(),
  /** So many leaves are the same in both. */
  carried: count,
  lost_holds: z.array(count).nullable(),
  /** Events up to it were stored before this tree began. */
  adopted_position: count,
  reason: text,
  by: text,
});

const source = z.object({
  type: z.literal('source'),
  ...common,
  source: ofSource,
  number: ofSource,
  kind: text.min(1),
  id: text.min(1),
  organization_id: text.nullable(),
});

const coverage = z.object({
  type: z.literal('coverage'),
  ...common,
  source: ofSource,
  filter: z.object({ text, hash: text }),
  wanted_since: instant.nullable(),
  as_of: instant,
  read: ranges,
  /** A second time, at least a day after the first. */
  again: ranges,
  /** Read before requests were recorded. */
  adopted: ranges,
  holes: z.array(z.object({ range, reason: text, found_at: instant })),
  left_out: z.object({ ranges: count, holes: count }),
  events: count,
  leaves: count,
  chain: hash,
  log_leaves: count,
  log_chain: hash,
  rows: z.object({ first: z.int().min(1), last: count, sha256: hash, windows: ranges }),
});

const change = z.object({
  type: z.literal('change'),
  ...common,
  source: ofSource,
  event: count,
  raw_sha256: hash,
  raw_bytes: count,
  seen_at: instant,
});

const drop = z.object({
  type: z.literal('drop'),
  ...common,
  source: z.literal(0),
  month: text.regex(/^(?:\d{4}-(?:0[1-9]|1[0-2])|none)$/),
  indexes,
  events: count,
  retention: text,
  older_than: instant,
  dropped_at: instant,
  dropped_by: text,
  holds: z.array(count),
});

const hold = z.object({
  type: z.literal('hold'),
  ...common,
  action: z.enum(['added', 'released']),
  id: count,
  since: instant.nullable(),
  before: instant.nullable(),
  reason: text,
  by: text.nullable(),
  done_at: instant,
});

const key = z.object({
  type: z.literal('key'),
  ...common,
  source: z.literal(0),
  reason: z.enum(['rotation', 'lost', 'compromised']),
  old: hash,
  new: hash,
  old_signs_until: instant.nullable(),
  by: text,
});

const end = z.object({ type: z.literal('end'), ...common, source: z.literal(0), reason: text, by: text });

/** Nothing of it is judged. */
const note = z.object({ type: z.literal('note'), ...common, about: text, facts: z.record(text, z.unknown()) });

const statement = z.discriminatedUnion('type', [begin, source, coverage, change, drop, hold, key, end, note]);
export type Statement = z.infer<typeof statement>;
export type StatementType = Statement['type'];
export type StatementOf<T extends StatementType> = Extract<Statement, { type: T }>;
/** What a writer gives. */
export type Fields<T extends StatementType> = Omit<StatementOf<T>, keyof typeof common | 'type'>;

/** A statement of a type that is not known here. */
const unknownStatement = z.object({ type: text.min(1), ...common });

export type ReadStatement =
  | { readonly known: true; readonly statement: Statement }
  | { readonly known: false; readonly statement: z.infer<typeof unknownStatement> };

/** Of the text; its leaf has the tag as well. */
export const MAX_STATEMENT_BYTES = MAX_LEAF_BYTES - tags.statement.length;

/** Stored and hashed as it is. Throws an error for no statement, or one that is too long. */
export const writeStatement = <T extends StatementType>(
  type: T,
  { index, at, source: of }: Pick<Statement, keyof typeof common>,
  fields: Fields<T>,
): string => {
  // In the order of the format: the index first.
  const { index: first, ...rest } = statement.parse({ type, index, at, source: of, ...fields });
  const written = JSON.stringify({ index: first, ...rest });
  if (Buffer.byteLength(written) > MAX_STATEMENT_BYTES)
    throw new RangeError(`a ${type} of ${written.length} characters`);
  return written;
};

/** Throws an EvidenceFault that names the field. The text is what counts: keep it. */
export const readStatement = (line: string): ReadStatement => {
  if (Buffer.byteLength(line) > MAX_STATEMENT_BYTES) throw new EvidenceFault('statement is longer than a leaf can be');
  const value = readStrictJson(line, 'statement');
  const head = checked(unknownStatement, value, 'statement');
  if (!statement.options.some((option) => option.shape.type.value === head.type))
    return { known: false, statement: head };
  return { known: true, statement: checked(statement, value, 'statement') };
};

/** Throws an EvidenceFault that names the field. */
export const checked = <T>(schema: z.ZodType<T>, value: unknown, what: string): T => {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new EvidenceFault(`${what}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
};

/** A line of `reads.ndjson`: a request that came to a credible end. */
export const readLine = z.object({
  source: ofSource,
  number: z.int().min(1),
  read_at: instant,
  lane: text,
  filter_hash: text,
  since: instant,
  before: instant,
  pages: count,
  entries: count,
  answers: count,
  first_date: instant.nullable(),
  first_cf_ray: text.nullable(),
  last_date: instant.nullable(),
  last_cf_ray: text.nullable(),
  bodies_sha256: hash,
});
export type ReadLine = z.infer<typeof readLine>;

/** Chapter 8 of the format: ids of the holds that were in force when a month was dropped, by what they contain of it. */
export const holdsAgainst = (
  holds: readonly StatementOf<'hold'>[],
  { month, dropped_at }: Pick<StatementOf<'drop'>, 'month' | 'dropped_at'>,
  numbers: ReadonlySet<number>,
): { readonly whole: number[]; readonly part: number[] } => {
  const [whole, part]: [number[], number[]] = [[], []];
  const times = timesOfMonth(month);
  if (times === undefined) return { whole, part };
  const released = new Set(
    holds.filter(({ action, done_at }) => action === 'released' && done_at <= dropped_at).map(({ id }) => id),
  );
  for (const { action, id, source, since, before, done_at } of holds) {
    const isInForce = action === 'added' && done_at <= dropped_at && !released.has(id);
    if (!isInForce || (source !== 0 && !numbers.has(source))) continue;
    const sinceUs = since === null ? undefined : microsecondsOf(since);
    const beforeUs = before === null ? undefined : microsecondsOf(before);
    const [from, to] = [sinceUs ?? times[0], beforeUs ?? times[1]];
    if (from <= times[0] && to >= times[1]) whole.push(id);
    else if (from < times[1] && to > times[0]) part.push(id);
  }
  return { whole, part };
};
