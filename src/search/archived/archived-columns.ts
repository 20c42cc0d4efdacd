import { type PlainCondition, plainConditions } from '../conditions/filter-conditions.sql.ts';
import type { EventQuery } from '../query/event-query.ts';
import { type Actor, actorPrefixOf, readActor, type TermField } from '../query/terms.ts';

/** The columns of `audit_events` that an archive has, as they are declared there. */
export const archivedColumns = {
  position: 'bigint',
  source_kind: 'text collate "C"',
  source_id: 'text collate "C"',
  organization_id: 'text collate "C"',
  id: 'text collate "C"',
  action_time: 'timestamptz',
  received_at: 'timestamptz',
  action_type: 'text',
  action_result: 'text',
  action_description: 'text',
  actor_id: 'text',
  actor_type: 'text',
  actor_context: 'text',
  actor_email: 'text',
  actor_ip_address: 'text',
  actor_token_id: 'text',
  actor_token_name: 'text',
  raw_cf_ray_id: 'text',
  raw_method: 'text',
  raw_status_code: 'integer',
  raw_uri: 'text',
  raw_user_agent: 'text',
  resource_id: 'text',
  resource_product: 'text',
  resource_type: 'text',
  resource_scope: 'text',
  raw: 'text',
  defects: 'text[]',
  account_id: 'text collate "C"',
  account_name: 'text',
  zone_id: 'text collate "C"',
  zone_name: 'text',
} as const;
export type ArchivedColumn = keyof typeof archivedColumns;

export const archivedColumnNames = Object.keys(archivedColumns) as ArchivedColumn[];

/** `name type, …`, for a list of rows in JSON. */
export const declared = (names: readonly ArchivedColumn[]): string =>
  names.map((name) => `${name} ${archivedColumns[name]}`).join(', ');

export const textOf = (value: unknown): string | null =>
  value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.length).toString('utf8') : null;

export const jsonOf = (name: ArchivedColumn, value: unknown): unknown => {
  if (value === null || value === undefined) return null;
  if (name === 'action_time' || name === 'received_at') return instantOf(value as bigint);
  return name === 'defects' ? defectsOf(value) : (textOf(value) ?? Number(value));
};

/** Their names are joined with commas. */
export const defectsOf = (value: unknown): readonly string[] | null =>
  textOf(value)
    ?.split(',')
    .filter((name) => name !== '') ?? null;

export const instantOf = (microseconds: bigint): string => {
  const fraction = ((microseconds % 1_000n) + 1_000n) % 1_000n;
  const iso = new Date(Number((microseconds - fraction) / 1_000n)).toISOString();
  return `${iso.slice(0, -1)}${String(fraction).padStart(3, '0')}Z`;
};

/** What an archived event must meet: a condition of the search itself, in SQL. */
export interface ArchivedCondition {
  /** On `audit_events`. Its parameters begin with $2: $1 is for the rows. */
  readonly sql: string;
  readonly values: readonly unknown[];
  readonly columns: readonly ArchivedColumn[];
  /** It is true only if the column has exactly this value. */
  readonly exactly?: { readonly column: ArchivedColumn; readonly value: string };
  /** It is true only if one of its columns contains one of these texts, whatever the case of letters. */
  readonly contains?: readonly string[] | undefined;
  /** It says whether the entry's own text contains one of these; negated: whether it contains none. */
  readonly texts?: { readonly values: readonly string[]; readonly isNegated: boolean };
}

/** All but those of time and of changes; those that look at the whole text come last. */
export const archivedConditions = (query: EventQuery): readonly ArchivedCondition[] => {
  const { since: _since, before: _before, untilPosition: _until, spellings: _spellings, changed: _, ...rest } = query;
  const all: unknown[] = [];
  const parameter = (value: unknown) => `$${all.push(value)}`;
  const found = plainConditions({ ...rest, changed: false }, { parameter, areArchived: true });
  const conditions = found.map((condition): ArchivedCondition => {
    const { field, sql, term } = condition;
    const values: unknown[] = [];
    // Each is a statement of its own.
    const own = sql.replace(/\$(\d+)/g, (_match, n) => `$${values.push(all[Number(n) - 1]) + 1}`);
    const exact = isOfActorId(condition, query) ? 'actor_id' : exactColumns[field as keyof typeof exactColumns];
    return {
      sql: own,
      values,
      columns: archivedColumnNames.filter((name) => new RegExp(`\\b${name}\\b`).test(sql)),
      contains: containedTexts(condition, query),
      ...(exact !== undefined && { exactly: { column: exact, value: String(values[0]) } }),
      ...(field === 'text' && { texts: { values: [query.text ?? ''], isNegated: false } }),
      ...(term?.field === 'text' && { texts: term }),
    };
  });
  const cost = ({ texts, columns }: ArchivedCondition) => (texts === undefined ? columns.length : 100);
  return conditions.sort((a, b) => cost(a) - cost(b));
};

/** In the conditions of a search they are equalities, and nothing else. */
const exactColumns = {
  organization: 'organization_id',
  account: 'account_id',
  resource: 'resource_id',
  ray: 'raw_cf_ray_id',
} as const;

const isOfActorId = ({ field }: PlainCondition, { actor }: EventQuery): boolean =>
  field === 'actor' && actor?.kind === 'id' && actorPrefixOf(actor.value) === undefined;

/** Their terms are equalities and beginnings of texts. */
const namedFields: ReadonlySet<TermField> = new Set(['email', 'token', 'actor_id', 'resource', 'ray', 'id']);

const containedTexts = ({ field, term }: PlainCondition, { actor }: EventQuery): readonly string[] | undefined => {
  if (field === 'actor' && actor !== undefined) return textsOfActors([actor]);
  if (term === undefined || term.isNegated) return undefined;
  if (term.field === 'actor') return textsOfActors(term.values.map(readActor));
  return namedFields.has(term.field) ? term.values.map(withoutStar) : undefined;
};

/** Addresses may be networks, or written in another way. */
const textsOfActors = (actors: readonly Actor[]): readonly string[] | undefined =>
  actors.some(({ kind }) => kind === 'ip') ? undefined : actors.map(({ value }) => withoutStar(value));

const withoutStar = (value: string): string => actorPrefixOf(value) ?? value;

/** A value for each row: bytes of UTF-8, a number, or null. Times are microseconds since 1970. */
export type ArchivedColumns<Name extends string> = Readonly<Record<Name, ArrayLike<unknown>>>;

/** Some thousand events, in order of position. Times are microseconds since 1970. */
export interface ArchivedGroup {
  /** Unique. */
  readonly name: string;
  readonly month: string;
  readonly rows: number;
  readonly firstPosition: number;
  readonly lastPosition: number;
  readonly firstTime: bigint;
  readonly lastTime: bigint;
  /** False only if statistics say that no row has exactly this value. */
  mayHave(column: string, value: string): boolean;
  columns<Name extends string>(names: readonly Name[], signal?: AbortSignal): Promise<ArchivedColumns<Name>>;
  /** Only for these rows, in ascending order: it takes less time and memory. */
  columnsOfRows<Name extends string>(
    names: readonly Name[],
    rows: readonly number[],
    signal?: AbortSignal,
  ): Promise<ArchivedColumns<Name>>;
}

/** Months in the archive alone. What cannot be believed or read rejects with OrgtrailError `archive_unreadable`. */
export interface ArchivedMonths {
  /** `month`: such as `2024-01`. With an organization, those that may have events of it. */
  groups(month: string, organization: string | undefined): Promise<readonly ArchivedGroup[]>;
  /** Those that may have the position. */
  groupsAt(position: number): Promise<readonly ArchivedGroup[]>;
  /** Positions of events with a later content. */
  changed(month: string): Promise<ReadonlySet<number>>;
  /** Later contents of an event, in the order in which they were seen, in microseconds since 1970. */
  changesOf(month: string, position: number): Promise<readonly { readonly seenAt: bigint; readonly rawText: string }[]>;
  close(): Promise<void>;
}
