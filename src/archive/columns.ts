/** `changes`: rows of audit_event_changes, later contents of events. */
export type ObjectKind = 'events' | 'changes';

export const objectKinds: readonly ObjectKind[] = ['events', 'changes'];

export interface ArchiveColumn {
  readonly name: string;
  /** On `e`, or for changes on `c`. PostgreSQL sends a text, json, bigint, integer or timestamptz in binary form. */
  readonly sql: string;
  readonly type: 'VARCHAR' | 'BIGINT' | 'INTEGER';
  /** DuckDB gets microseconds since 1970, and keeps a time. */
  readonly isTime?: true;
}

const number = (name: string, sql: string): ArchiveColumn => ({ name, sql, type: 'BIGINT' });
const time = (name: string, sql: string): ArchiveColumn => ({ name, sql, type: 'BIGINT', isTime: true });
const text = (name: string, sql: string): ArchiveColumn => ({ name, sql, type: 'VARCHAR' });
const own = (name: string): ArchiveColumn => text(name, `e.${name}`);

const ofEntry = [
  'action_type',
  'action_result',
  'action_description',
  'actor_id',
  'actor_type',
  'actor_context',
  'actor_email',
  'actor_ip_address',
  'actor_token_id',
  'actor_token_name',
  'raw_cf_ray_id',
  'raw_method',
  'raw_status_code',
  'raw_uri',
  'raw_user_agent',
  'resource_id',
  'resource_product',
  'resource_type',
  'resource_scope',
] as const;
const ofAccount = ['account_id', 'account_name', 'zone_id', 'zone_name'] as const;

/** The same in all rows of an object: PostgreSQL does not send it. It follows the first column. */
export const FEED_ID = 'feed_id';

/** As in the view audit_feed, in its order, except for feed_id. A new column goes to the end: see `fieldsOf`. */
const events: readonly ArchiveColumn[] = [
  number('position', 'e.position'),
  own('source_kind'),
  own('source_id'),
  own('organization_id'),
  text('organization_name', '(select o.name from organizations o where o.id = e.organization_id)'),
  own('id'),
  time('action_time', 'e.action_time'),
  time('received_at', 'e.received_at'),
  ...ofEntry.map(
    (name): ArchiveColumn => (name === 'raw_status_code' ? { name, sql: `e.${name}`, type: 'INTEGER' } : own(name)),
  ),
  text('raw', 'e.raw'),
  text('defects', "array_to_string(e.defects, ',')"),
  ...ofAccount.map(own),
];

const changes: readonly ArchiveColumn[] = [
  number('position', 'c.position'),
  number('change_id', 'c.id'),
  text('source_kind', 'c.source_kind'),
  text('source_id', 'c.source_id'),
  text('event_id', 'c.event_id'),
  time('seen_at', 'c.seen_at'),
  text('raw', 'c.raw'),
  text('raw_sha256', 'c.raw_sha256'),
];

export const columnsOf: Readonly<Record<ObjectKind, readonly ArchiveColumn[]>> = { events, changes };

/** `id`: of the column in every object, fixed. Other engines find columns by it. */
export interface Field {
  readonly id: number;
  readonly name: string;
  readonly type: 'long' | 'int' | 'string' | 'timestamptz';
}

const typeOf = ({ type, isTime }: ArchiveColumn): Field['type'] => {
  if (isTime === true) return 'timestamptz';
  return type === 'BIGINT' ? 'long' : type === 'INTEGER' ? 'int' : 'string';
};

/** In the order of the columns of an object: a new column takes the next number. */
const numbered = (columns: readonly ArchiveColumn[]): readonly Field[] =>
  columns
    .toSpliced(1, 0, text(FEED_ID, ''))
    .map((column, index) => ({ id: index + 1, name: column.name, type: typeOf(column) }));

export const fieldsOf: Readonly<Record<ObjectKind, readonly Field[]>> = {
  events: numbered(events),
  changes: numbered(changes),
};

/** By what engines leave out whole objects. */
export const boundedOf: Readonly<Record<ObjectKind, readonly string[]>> = {
  events: ['position', 'source_id', 'organization_id', 'id', 'action_time', 'received_at', 'account_id'],
  changes: ['position', 'source_id', 'event_id', 'seen_at'],
};

/** Numbers as digits, times in microseconds since 1970. A long text is cut, and its `max` raised; none: all rows have null, or no text is higher. */
export interface Bound {
  readonly nulls: number;
  readonly min?: string;
  readonly max?: string;
}

/** By the id of the field. */
export type Bounds = Readonly<Record<string, Bound>>;

const LONGEST_BOUND = 64;
/** With one code point more than a bound has, it shows that a text is longer. */
export const LONGEST_READ = LONGEST_BOUND + 1;

export const boundOf = (nulls: number, min: string | null, max: string | null): Bound => {
  if (min === null || max === null) return { nulls };
  const highest = upperBound(max);
  return { nulls, min: [...min].slice(0, LONGEST_BOUND).join(''), ...(highest !== undefined && { max: highest }) };
};

/** Above every text that begins so, by the order of UTF-8. */
const upperBound = (text: string): string | undefined => {
  const points = Array.from(text, (character) => character.codePointAt(0) ?? 0);
  if (points.length <= LONGEST_BOUND) return text;
  const cut = points.slice(0, LONGEST_BOUND);
  while (cut.at(-1) === 0x10_ff_ff) cut.pop();
  const last = cut.pop();
  // Surrogates are no characters.
  return last === undefined ? undefined : String.fromCodePoint(...cut, last === 0xd7_ff ? 0xe0_00 : last + 1);
};

/** Of rows, and of the lines that hashes are of. */
export const orderOf: Readonly<Record<ObjectKind, string>> = { events: 'position', changes: 'position, change_id' };

const orNull = (name: string): string => `coalesce(${name}::varchar, chr(30))`;

/** What orgtrail_archive_facts hashes, in the SQL of DuckDB: all columns but the raw text, with U+001F between and U+001E for null. */
export const hashedOf: Readonly<Record<ObjectKind, { readonly ids: string; readonly columns: string }>> = {
  events: {
    ids: "source_kind || ' ' || source_id || ' ' || id",
    columns: [
      'position',
      'source_kind',
      'source_id',
      orNull('organization_id'),
      'id',
      'epoch_us(action_time)',
      'epoch_us(received_at)',
      ...ofEntry.map(orNull),
      ...ofAccount.map(orNull),
      orNull('defects'),
    ].join(', '),
  },
  changes: {
    ids: "source_kind || ' ' || source_id || ' ' || event_id || ' ' || raw_sha256",
    columns: 'position, change_id, epoch_us(seen_at)',
  },
};

/** PostgreSQL computes it from the rows of a month, DuckDB from an object that was read back. */
export interface StretchFacts {
  readonly events: number;
  readonly firstPosition: number;
  readonly lastPosition: number;
  readonly idsSha256: string;
  readonly rawSha256: string;
  readonly columnsSha256: string;
}

/** As DuckDB reads it. `footerBytes`: of the description at the end of the file. */
export interface ObjectFacts extends StretchFacts {
  readonly bounds: Bounds;
  readonly footerBytes: number;
}

/** The end of a sentence; undefined: nothing differs. */
export const differenceOf = (found: StretchFacts, expected: StretchFacts): string | undefined => {
  if (found.events !== expected.events) return `has ${found.events} rows, not ${expected.events}`;
  if (found.firstPosition !== expected.firstPosition || found.lastPosition !== expected.lastPosition) {
    return `has positions ${found.firstPosition} to ${found.lastPosition}, not ${expected.firstPosition} to ${expected.lastPosition}`;
  }
  if (found.idsSha256 !== expected.idsSha256) return 'has other ids';
  if (found.rawSha256 !== expected.rawSha256) return 'has other raw texts';
  return found.columnsSha256 === expected.columnsSha256 ? undefined : 'has other columns';
};

/** Of what is read from Parquet as bytes. */
export const textOf = (value: unknown): string | null =>
  value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.length).toString('utf8') : null;

/** Their names are joined with commas. */
export const defectsOf = (value: unknown): readonly string[] | null =>
  textOf(value)
    ?.split(',')
    .filter((name) => name !== '') ?? null;

/** RFC 3339, to the microsecond. */
export const instantOf = (microseconds: bigint): string => {
  const fraction = ((microseconds % 1_000n) + 1_000n) % 1_000n;
  const iso = new Date(Number((microseconds - fraction) / 1_000n)).toISOString();
  return `${iso.slice(0, -1)}${String(fraction).padStart(3, '0')}Z`;
};
