import { startsInBothCases, textsOfNetwork } from '../query/address-starts.ts';
import {
  beginsWholly,
  type Enumeration,
  type EventQuery,
  enumerations,
  folded,
  hasOtherCase,
  indexed,
  isTooLong,
  likeText,
  patternOf,
  type SpelledColumn,
} from '../query/event-query.ts';
import type { SearchField } from '../query/search.ts';
import {
  type Actor,
  actorPrefixOf,
  isAddress,
  readActor,
  statusRange,
  type Term,
  type TermField,
} from '../query/terms.ts';

/** What one field of a search asks of `audit_events`, as SQL. */
interface FilterCondition {
  readonly field: SearchField;
  readonly sql: string;
}

/** Adds a value to those of the statement and gives its name, `$1` and so on. */
export type AddParameter = (value: unknown) => string;

/**
 * The conditions of all fields but the time, one each. The expressions are those of the indexes of drizzle/schema/search.sql: e-mail
 * addresses, names of tokens and enumerations are compared in all their spellings.
 */
export const filterConditions = (query: EventQuery, parameter: AddParameter): readonly FilterCondition[] => {
  const parts: FilterCondition[] = [];
  const add = <T>(field: SearchField, value: T | undefined, sql: (value: T) => string) => {
    if (value !== undefined) parts.push({ field, sql: sql(value) });
  };
  add('organization', query.organization, (value) => `organization_id = ${parameter(value)}`);
  add('account', query.account, (value) => `account_id = ${parameter(value)}`);
  add('zone', query.zone, (value) => zoneCondition(parameter(value)));
  add('actor', query.actor, (actor) => actorCondition(actor, query, parameter));
  const spelled = (column: SpelledColumn) => (value: string) =>
    anyOf(column, query.spellings?.[column] ?? [value], parameter);
  add('action', query.action, spelled('action_type'));
  add('result', query.result, spelled('action_result'));
  add('product', query.product, spelled('resource_product'));
  add('resource_type', query.resourceType, spelled('resource_type'));
  add('resource', query.resource, (value) => `resource_id = ${parameter(value)}`);
  add('ray', query.ray, (value) => rayCondition(value, query.rayPositions, parameter));
  add('text', query.text, (value) => `raw::text ilike ${parameter(`%${likeText(value)}%`)}`);
  if (query.defects) parts.push({ field: 'defects', sql: 'defects is not null' });
  if (query.changed) {
    parts.push({ field: 'changed', sql: 'position in (select c.position from audit_event_changes c)' });
  }
  return parts;
};

/** By position, if it is known which events have it. */
const rayCondition = (value: string, positions: readonly number[] | undefined, parameter: AddParameter): string =>
  positions === undefined ? `raw_cf_ray_id = ${parameter(value)}` : `position = any(${parameter(positions)}::bigint[])`;

/** The second as the index of drizzle/schema/search.sql has it: a name whatever the case of its letters. */
const zoneCondition = (value: string): string =>
  `(zone_id = ${value} or (zone_name is not null and ${folded('zone_name')} = ${folded(value)}))`;

/** An equality if it is one, as partial indexes want it. */
const anyOf = (column: string, values: readonly string[], parameter: AddParameter): string =>
  values.length === 1 ? `${column} = ${parameter(values[0])}` : `${column} = any(${parameter(values)}::text[])`;

const actorCondition = (actor: Actor, query: EventQuery, parameter: AddParameter): string => {
  const start = actorPrefixOf(actor.value);
  const parts = start === undefined ? exactParts(actor, query, parameter) : startParts(actor, start, query, parameter);
  return `(${parts.join(' or ')})`;
};

const exactParts = ({ kind, value }: Actor, query: EventQuery, parameter: AddParameter): readonly string[] => {
  const spelled = (column: SpelledColumn) => equalParts(column, value, query, parameter);
  const equal = (column: string) => `${column} = ${parameter(value)}`;
  if (kind === 'email') return spelled('actor_email');
  if (kind === 'id') return [equal('actor_id')];
  if (kind === 'token') return [equal('actor_token_id'), ...spelled('actor_token_name')];
  if (kind === 'ip') return addressParts(value, parameter);
  return [
    ...spelled('actor_email'),
    ...['actor_id', 'actor_token_id', 'actor_ip_address'].map(equal),
    ...spelled('actor_token_name'),
  ];
};

/** All spellings of a value. */
const equalParts = (
  column: SpelledColumn,
  value: string,
  query: EventQuery,
  parameter: AddParameter,
): readonly string[] => {
  const spellings = query.spellings?.[column] ?? [value];
  const parts = [indexed(column, anyOf(column, spellings, parameter))];
  if (spellings.some((spelling) => isTooLong(column, spelling))) {
    const name = parameter(value);
    const isSame = `${folded(column)} = ${folded(name)} and lower(${column}) = lower(${name})`;
    parts.push(`(${hasOtherCase(column)} and ${isSame})`);
  }
  return parts;
};

const startParts = ({ kind }: Actor, start: string, query: EventQuery, parameter: AddParameter): readonly string[] => {
  const begins = (column: SpelledColumn) => beginningParts(column, start, query, parameter);
  if (kind === 'email') return begins('actor_email');
  if (kind === 'id') return [exactBeginning('actor_id', start, parameter)];
  if (kind === 'token') return [exactBeginning('actor_token_id', start, parameter), ...begins('actor_token_name')];
  if (kind === 'any') return [...begins('actor_email'), ...begins('actor_token_name')];
  return [addressStartPart(start, parameter)];
};

/** A column that begins so, with the same letters. */
const exactBeginning = (column: string, start: string, parameter: AddParameter): string =>
  beginsWholly(`${column} like ${parameter(patternOf(start))}`, { text: column, start, lower: false }, parameter);

/** An address that begins so, whatever the case of its letters. */
const addressStartPart = (start: string, parameter: AddParameter): string => {
  const text = 'actor_ip_address';
  const like = `lower(${text}) like lower(${parameter(patternOf(start))})`;
  const same = beginsWholly(like, { text, start, lower: true }, parameter);
  const starts = startsInBothCases(start);
  return starts.length === 0 ? same : `(${beginsWith(starts, parameter)} and ${same})`;
};

/** What is in small letters by its index, the rest by its spellings if they are few, else by the index of those. */
const beginningParts = (
  column: SpelledColumn,
  start: string,
  query: EventQuery,
  parameter: AddParameter,
): readonly string[] => {
  const pattern = parameter(patternOf(start));
  const parts = [indexed(column, `${column} like lower(${pattern})`)];
  const others = query.spellings?.[column];
  if (others === undefined || others.some((value) => isTooLong(column, value))) {
    parts.push(`(${hasOtherCase(column)} and ${folded(column)} like lower(${pattern}))`);
  } else if (others.length > 0) parts.push(indexed(column, anyOf(column, others, parameter)));
  return parts.map((part) => beginsWholly(part, { text: column, start, lower: true }, parameter));
};

/** An address or a network. What an index has is text: it is asked for how such texts begin, and PostgreSQL reads those that it finds. */
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

/** The condition of one value, in `audit_events`. */
type ValueCondition = (value: string, parameter: AddParameter) => string;

/** True of an event that the term lets through. A negated term lets through what has no value at all. */
export const termCondition = ({ field, isNegated, values }: Term, parameter: AddParameter): string => {
  const any = `(${values.map((value) => conditions[field](value, parameter)).join(' or ')})`;
  return isNegated ? `(${any} is not true)` : any;
};

/** Whatever the case of letters, by the index of small letters and that of all other spellings (drizzle/schema/search.sql). */
const spelled =
  (column: SpelledColumn): ValueCondition =>
  (value, parameter) => {
    const start = actorPrefixOf(value);
    if (start !== undefined) {
      const pattern = parameter(patternOf(start));
      const isSmall = indexed(column, `${column} like lower(${pattern})`);
      const isOther = `(${hasOtherCase(column)} and ${folded(column)} like lower(${pattern}))`;
      return beginsWholly(`(${isSmall} or ${isOther})`, { text: column, start, lower: true }, parameter);
    }
    return spelledExactly(column)(value, parameter);
  };

/** The same, of a value that is no beginning, whatever its end. */
const spelledExactly =
  (column: SpelledColumn): ValueCondition =>
  (value, parameter) => {
    const name = parameter(value);
    const isSame = `${folded(column)} = ${folded(name)} and lower(${column}) = lower(${name})`;
    return `(${indexed(column, `${column} = lower(${name})`)} or (${hasOtherCase(column)} and ${isSame}))`;
  };

/** As it is written. */
const exact =
  (column: string): ValueCondition =>
  (value, parameter) => {
    const start = actorPrefixOf(value);
    return start === undefined ? `${column} = ${parameter(value)}` : exactBeginning(column, start, parameter);
  };

/** Whatever the case of letters, with `*` at either end. No index has it. */
const loose =
  (column: string): ValueCondition =>
  (value, parameter) => {
    const front = value.startsWith('*') ? '%' : '';
    const end = value.endsWith('*') ? '%' : '';
    const inner = value.slice(front.length, end === '' ? undefined : -1);
    return `${column} ilike ${parameter(`${front}${likeText(inner)}${end}`)}`;
  };

const ofAddress: ValueCondition = (value, parameter) => {
  const start = actorPrefixOf(value);
  return start === undefined ? `(${addressParts(value, parameter).join(' or ')})` : addressStartPart(start, parameter);
};

const either =
  (...all: readonly ValueCondition[]): ValueCondition =>
  (value, parameter) =>
    `(${all.map((one) => one(value, parameter)).join(' or ')})`;

const email = spelled('actor_email');
const token = either(exact('actor_token_id'), spelled('actor_token_name'));
const actorId = exact('actor_id');

const actorKinds: Readonly<Record<Actor['kind'], ValueCondition>> = {
  email,
  ip: ofAddress,
  id: actorId,
  token,
  any: (value, parameter) =>
    actorPrefixOf(value) === undefined
      ? either(email, actorId, token, exact('actor_ip_address'))(value, parameter)
      : either(email, spelled('actor_token_name'))(value, parameter),
};

/** The condition of an actor, in all spellings without looking them up. */
const actorParts = ({ kind, value }: Actor, parameter: AddParameter): string => actorKinds[kind](value, parameter);

const conditions: Readonly<Record<TermField, ValueCondition>> = {
  organization: exact('organization_id'),
  account: exact('account_id'),
  zone: (value, parameter) => zoneCondition(parameter(value)),
  actor: (value, parameter) => actorParts(readActor(value), parameter),
  email,
  ip: ofAddress,
  token,
  actor_id: actorId,
  actor_type: loose('actor_type'),
  context: loose('actor_context'),
  action: spelled('action_type'),
  result: spelled('action_result'),
  product: spelled('resource_product'),
  resource_type: spelled('resource_type'),
  resource: exact('resource_id'),
  ray: exact('raw_cf_ray_id'),
  status: (value, parameter) => {
    const [from, to] = statusRange(value) ?? [0, -1];
    return `raw_status_code between ${parameter(from)} and ${parameter(to)}`;
  },
  method: loose('raw_method'),
  uri: loose('raw_uri'),
  agent: loose('raw_user_agent'),
  id: exact('id'),
  text: (value, parameter) => `raw::text ilike ${parameter(`%${likeText(value)}%`)}`,
};

/** One condition of a search. */
export interface PlainCondition extends FilterCondition {
  /** If it is one of a query line: its term. */
  readonly term?: Term;
}

/** The conditions of a search but those of time, in all spellings without looking them up: they hold of any table with these columns. */
export const plainConditions = (
  query: Omit<EventQuery, 'since' | 'before' | 'untilPosition' | 'spellings'>,
  parameter: AddParameter,
): readonly PlainCondition[] => {
  const { actor, terms = [], action, result, product, resourceType, ...plain } = query;
  const fields = { action, result, product, resource_type: resourceType };
  const columns: Readonly<Record<keyof typeof fields, Enumeration>> = {
    action: 'action',
    result: 'result',
    product: 'product',
    resource_type: 'resourceType',
  };
  const spelled = (Object.keys(fields) as (keyof typeof fields)[]).flatMap((field) => {
    const value = fields[field];
    return value === undefined ? [] : [{ field, sql: spelledExactly(enumerations[columns[field]])(value, parameter) }];
  });
  return [
    ...filterConditions({ ...plain, since: undefined, before: undefined }, parameter),
    ...(actor === undefined ? [] : [{ field: 'actor' as const, sql: actorParts(actor, parameter) }]),
    ...spelled,
    ...terms.map((term) => ({ field: 'q' as const, sql: termCondition(term, parameter), term })),
  ];
};
