import { startsInBothCases, textsOfNetwork } from '../query/address-starts.ts';
import {
  beginsWholly,
  type EventQuery,
  folded,
  likeText,
  mayBeZone,
  mayHaveName,
  patternOf,
  type SpelledColumn,
  type Spellings,
  spellingKey,
  surely,
} from '../query/event-query.ts';
import type { SearchField } from '../query/search.ts';
import {
  type Actor,
  isAddress,
  isOpenAtFront,
  prefixOf,
  readActor,
  statusRange,
  type Term,
  type TermField,
} from '../query/terms.ts';

interface FilterCondition {
  readonly field: SearchField;
  readonly sql: string;
}

/** Adds a value to those of the statement and returns its name, `$1` and so on. */
export type AddParameter = (value: unknown) => string;

/** What a condition is written for: rows with indexes, and what is known of their spellings. */
interface Rows {
  readonly parameter: AddParameter;
  readonly spellings?: Spellings | undefined;
}

/** One a field but the time: values count in all their spellings. */
const filterConditions = (query: EventQuery, rows: Rows): readonly FilterCondition[] => {
  const { parameter } = rows;
  const parts: FilterCondition[] = [];
  const add = <T>(field: SearchField, value: T | undefined, sql: (value: T) => string) => {
    if (value !== undefined) parts.push({ field, sql: sql(value) });
  };
  add('organization', query.organization, (value) => `organization_id = ${parameter(value)}`);
  add('account', query.account, (value) => `account_id = ${parameter(value)}`);
  add('zone', query.zone, (value) => zoneCondition(value, rows));
  add('actor', query.actor, ({ kind, value }) => actorKinds[kind](value, rows));
  const spelledAs = (column: SpelledColumn) => (value: string) => spelled(column, true)(value, rows);
  add('action', query.action, spelledAs('action_type'));
  add('result', query.result, spelledAs('action_result'));
  add('product', query.product, spelledAs('resource_product'));
  add('resource_type', query.resourceType, spelledAs('resource_type'));
  add('resource', query.resource, (value) => `resource_id = ${parameter(value)}`);
  const { ray, rayPositions } = query;
  if (rayPositions === undefined) add('ray', ray, (value) => `raw_cf_ray_id = ${parameter(value)}`);
  else add('ray', ray, () => `position = any(${parameter(rayPositions)}::bigint[])`);
  add('text', query.text, (value) => `raw::text ilike ${parameter(`%${likeText(value)}%`)}`);
  if (query.defects) parts.push({ field: 'defects', sql: 'defects is not null' });
  if (query.changed)
    parts.push({ field: 'changed', sql: 'position in (select c.position from audit_event_changes c)' });
  return parts;
};

/** An id as it is, or a name whatever the case of its letters. */
const zoneCondition = (zone: string, { parameter }: Rows): string => {
  const value = parameter(zone);
  const isZone = `(zone_id = ${value} or (zone_name is not null and ${folded('zone_name')} = ${folded(value)}))`;
  return `(${surely(isZone)} and ${mayBeZone(value)})`;
};

/** An equality where that is enough, as partial indexes want it. */
const anyOf = (column: string, values: readonly string[], parameter: AddParameter): string =>
  values.length === 1 ? `${column} = ${parameter(values[0])}` : `${column} = any(${parameter(values)}::text[])`;

const exactBeginning = (column: string, start: string, parameter: AddParameter): string =>
  beginsWholly(`${column} like ${parameter(patternOf(start))}`, { text: column, start, lower: false }, parameter);

const addressStartPart = (start: string, parameter: AddParameter): string => {
  const text = 'actor_ip_address';
  const like = `lower(${text}) like lower(${parameter(patternOf(start))})`;
  const same = beginsWholly(like, { text, start, lower: true }, parameter);
  const starts = startsInBothCases(start);
  return starts.length === 0 ? same : `(${beginsWith(starts, parameter)} and ${same})`;
};

/** An index has texts: it is asked for how texts of a network begin, and PostgreSQL reads those as addresses. */
const addressParts = (value: string, parameter: AddParameter): readonly string[] => {
  const same = () => `actor_ip_address = ${parameter(value)}`;
  if (!isAddress(value)) return [same()];
  const texts = textsOfNetwork(value);
  // Not null, and no operator of inet: without statistics the planner would expect next to nothing.
  const within = () => `coalesce(orgtrail_ip(actor_ip_address) <<= ${parameter(value)}::inet, false)`;
  if (texts === undefined) return [within()];
  const parts: string[] = [];
  if (texts.exact.length > 0) parts.push(anyOf('actor_ip_address', texts.exact, parameter));
  if (texts.starts.length > 0) parts.push(`(${beginsWith(texts.starts, parameter)} and ${within()})`);
  return value.includes('/') ? parts : [same(), ...parts];
};

const beginsWith = (starts: readonly string[], parameter: AddParameter): string =>
  `(${starts.map((start) => `actor_ip_address like ${parameter(`${start}%`)}`).join(' or ')})`;

type ValueCondition = (value: string, rows: Rows) => string;

/** A negated term lets through what has no value at all. */
const termCondition = ({ field, isNegated, values }: Term, rows: Rows): string => {
  const any = `(${values.map((value) => conditions[field](value, rows)).join(' or ')})`;
  return isNegated ? `(${any} is not true)` : any;
};

/** How a text in small letters compares with a value, or with what it begins with. */
const comparisonWith = (value: string, start: string | undefined, parameter: AddParameter): string =>
  start === undefined ? `= lower(${parameter(value)})` : `like lower(${parameter(patternOf(start))})`;

/** Whatever the case of letters, with `*` at either end. */
const loose =
  (column: string): ValueCondition =>
  (value, { parameter }) => {
    const front = value.startsWith('*') ? '%' : '';
    const end = value.endsWith('*') ? '%' : '';
    const inner = value.slice(front.length, end === '' ? undefined : -1);
    return `${column} ilike ${parameter(`${front}${likeText(inner)}${end}`)}`;
  };

const openAtFront =
  (column: string, condition: ValueCondition): ValueCondition =>
  (value, rows) =>
    (isOpenAtFront(value) ? loose(column) : condition)(value, rows);

/** Whatever the case of letters, with `*` at the end if it is not meant as it is. */
const spelled =
  (column: SpelledColumn, isAsItIs = false): ValueCondition =>
  (value, { parameter, spellings }) => {
    const start = isAsItIs ? undefined : prefixOf(value);
    const known = start === undefined ? spellings?.get(spellingKey(column, value)) : undefined;
    if (known !== undefined) return anyOf(column, known, parameter);
    const comparison = comparisonWith(value, start, parameter);
    const same = `(${column} ${comparison} or (${column} <> lower(${column}) and lower(${column}) ${comparison}))`;
    return start === undefined ? same : beginsWholly(same, { text: column, start, lower: true }, parameter);
  };

/** As `spelled`, of columns that the index of names has: of e-mail addresses those that are not in small letters. */
const named = (column: 'actor_email' | 'actor_token_name'): ValueCondition =>
  openAtFront(column, (value, { parameter }) => {
    const start = prefixOf(value);
    const comparison = comparisonWith(value, start, parameter);
    const isName = `lower(${column}) ${comparison}`;
    // The cheaper one first, for rows that are not read by the index.
    const inNames = `${surely(isName)} and ${mayHaveName(column, parameter(start ?? value), start !== undefined)}`;
    const same = column === 'actor_email' ? `(${column} ${comparison} or (${inNames}))` : `(${inNames})`;
    return start === undefined ? same : beginsWholly(same, { text: column, start, lower: true }, parameter);
  });

const email = named('actor_email');

const exact = (column: string): ValueCondition =>
  openAtFront(column, (value, { parameter }) => {
    const start = prefixOf(value);
    return start === undefined ? `${column} = ${parameter(value)}` : exactBeginning(column, start, parameter);
  });

const ofAddress = openAtFront('actor_ip_address', (value, { parameter }) => {
  const start = prefixOf(value);
  return start === undefined ? `(${addressParts(value, parameter).join(' or ')})` : addressStartPart(start, parameter);
});

const either =
  (...all: readonly ValueCondition[]): ValueCondition =>
  (value, rows) =>
    `(${all.map((one) => one(value, rows)).join(' or ')})`;

const token = either(exact('actor_token_id'), named('actor_token_name'));
const actorId = exact('actor_id');

const actorKinds: Readonly<Record<Actor['kind'], ValueCondition>> = {
  email,
  ip: ofAddress,
  id: actorId,
  token,
  // No index has how an id begins: `id:` asks for it.
  any: (value, rows) =>
    prefixOf(value) === undefined
      ? either(email, actorId, token, exact('actor_ip_address'))(value, rows)
      : either(email, token)(value, rows),
};

const ofPlace =
  (condition: ValueCondition): ValueCondition =>
  (value, rows) =>
    `actor_ip_address in (select p.address from address_places p where ${condition(value, rows)})`;

const ANY_RULE = 'any';

/** In the archive, entries are text. */
export const effects = 'orgtrail_effects(action_type, raw_uri, raw::json)';

const conditions: Readonly<Record<TermField, ValueCondition>> = {
  organization: exact('organization_id'),
  account: exact('account_id'),
  zone: (value, rows) =>
    (/^\*|\*$/.test(value) ? either(loose('zone_id'), loose('zone_name')) : zoneCondition)(value, rows),
  actor: (text, rows) => {
    const { kind, value } = readActor(text);
    return actorKinds[kind](value, rows);
  },
  email,
  ip: ofAddress,
  token,
  actor_id: actorId,
  actor_type: loose('actor_type'),
  context: loose('actor_context'),
  action: openAtFront('action_type', spelled('action_type')),
  result: openAtFront('action_result', spelled('action_result')),
  product: openAtFront('resource_product', spelled('resource_product')),
  resource_type: openAtFront('resource_type', spelled('resource_type')),
  resource: exact('resource_id'),
  ray: exact('raw_cf_ray_id'),
  status: (value, { parameter }) => {
    const [from, to] = statusRange(value) ?? [0, -1];
    return `raw_status_code between ${parameter(from)} and ${parameter(to)}`;
  },
  method: loose('raw_method'),
  uri: loose('raw_uri'),
  agent: loose('raw_user_agent'),
  id: exact('id'),
  text: (value, { parameter }) => `raw::text ilike ${parameter(`%${likeText(value)}%`)}`,
  detection: (value, rows) => {
    const rule = value === ANY_RULE ? 'true' : exact('f.detection')(value, rows);
    return `(position, action_time) in (select f.event_position, f.action_time from findings f where ${rule})`;
  },
  country: ofPlace((value, { parameter }) => `p.country = upper(${parameter(value)})`),
  network: ofPlace(either(loose('p.network'), (value, { parameter }) => `p.asn = upper(${parameter(value)})`)),
  effect: (value, { parameter }) => `lower(${parameter(value)}) = any(${effects})`,
};

/** All but those of time, without looking up spellings. */
export const plainConditions = (
  query: Omit<EventQuery, 'since' | 'before' | 'untilPosition' | 'spellings'>,
  rows: Rows,
): readonly FilterCondition[] => [
  ...filterConditions({ ...query, since: undefined, before: undefined }, rows),
  ...(query.terms ?? []).map((term) => ({ field: 'q' as const, sql: termCondition(term, rows) })),
];
