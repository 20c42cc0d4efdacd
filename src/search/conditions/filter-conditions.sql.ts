import { startsInBothCases, textsOfNetwork } from '../query/address-starts.ts';
import {
  beginsWholly,
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

interface FilterCondition {
  readonly field: SearchField;
  readonly sql: string;
}

/** Adds a value to those of the statement and returns its name, `$1` and so on. */
export type AddParameter = (value: unknown) => string;

/** One a field but the time, in the expressions of the indexes of drizzle/schema/search.sql: values count in all their spellings. */
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
  const { ray, rayPositions } = query;
  if (rayPositions === undefined) add('ray', ray, (value) => `raw_cf_ray_id = ${parameter(value)}`);
  else add('ray', ray, () => `position = any(${parameter(rayPositions)}::bigint[])`);
  add('text', query.text, (value) => `raw::text ilike ${parameter(`%${likeText(value)}%`)}`);
  if (query.defects) parts.push({ field: 'defects', sql: 'defects is not null' });
  if (query.changed)
    parts.push({ field: 'changed', sql: 'position in (select c.position from audit_event_changes c)' });
  return parts;
};

/** As the index of drizzle/schema/search.sql has it: a name whatever the case of its letters. */
const zoneCondition = (value: string): string =>
  `(zone_id = ${value} or (zone_name is not null and ${folded('zone_name')} = ${folded(value)}))`;

/** An equality where that is enough, as partial indexes want it. */
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

const exactBeginning = (column: string, start: string, parameter: AddParameter): string =>
  beginsWholly(`${column} like ${parameter(patternOf(start))}`, { text: column, start, lower: false }, parameter);

const addressStartPart = (start: string, parameter: AddParameter): string => {
  const text = 'actor_ip_address';
  const like = `lower(${text}) like lower(${parameter(patternOf(start))})`;
  const same = beginsWholly(like, { text, start, lower: true }, parameter);
  const starts = startsInBothCases(start);
  return starts.length === 0 ? same : `(${beginsWith(starts, parameter)} and ${same})`;
};

/** Small letters by their index; the rest by its spellings if they are few, else by the index of other spellings. */
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

type ValueCondition = (value: string, parameter: AddParameter) => string;

/** A negated term lets through what has no value at all. */
export const termCondition = ({ field, isNegated, values }: Term, parameter: AddParameter): string => {
  const any = `(${values.map((value) => conditions[field](value, parameter)).join(' or ')})`;
  return isNegated ? `(${any} is not true)` : any;
};

/** Whatever the case of letters, by the indexes of small letters and of all other spellings (drizzle/schema/search.sql). */
const spelled =
  (column: SpelledColumn): ValueCondition =>
  (value, parameter) => {
    const start = actorPrefixOf(value);
    if (start === undefined) return spelledExactly(column)(value, parameter);
    const pattern = parameter(patternOf(start));
    const isSmall = indexed(column, `${column} like lower(${pattern})`);
    const isOther = `(${hasOtherCase(column)} and ${folded(column)} like lower(${pattern}))`;
    return beginsWholly(`(${isSmall} or ${isOther})`, { text: column, start, lower: true }, parameter);
  };

/** A star at the end is meant as it is. */
const spelledExactly =
  (column: SpelledColumn): ValueCondition =>
  (value, parameter) => {
    const name = parameter(value);
    const isSame = `${folded(column)} = ${folded(name)} and lower(${column}) = lower(${name})`;
    return `(${indexed(column, `${column} = lower(${name})`)} or (${hasOtherCase(column)} and ${isSame}))`;
  };

const exact =
  (column: string): ValueCondition =>
  (value, parameter) => {
    const start = actorPrefixOf(value);
    return start === undefined ? `${column} = ${parameter(value)}` : exactBeginning(column, start, parameter);
  };

/** Whatever the case of letters, with `*` at either end. No index helps. */
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

const conditions: Readonly<Record<TermField, ValueCondition>> = {
  organization: exact('organization_id'),
  account: exact('account_id'),
  zone: (value, parameter) => zoneCondition(parameter(value)),
  actor: (text, parameter) => {
    const { kind, value } = readActor(text);
    return actorKinds[kind](value, parameter);
  },
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

export interface PlainCondition extends FilterCondition {
  readonly term?: Term;
}

/** All but those of time, in all spellings without looking them up: they hold for any table with these columns. */
export const plainConditions = (
  query: Omit<EventQuery, 'since' | 'before' | 'untilPosition' | 'spellings'>,
  parameter: AddParameter,
): readonly PlainCondition[] => {
  const { actor, terms = [], action, result, product, resourceType, ...plain } = query;
  const fields = { action, result, product, resource_type: resourceType };
  const columns = { ...enumerations, resource_type: enumerations.resourceType };
  const spelled = (Object.keys(fields) as (keyof typeof fields)[]).flatMap((field) => {
    const value = fields[field];
    return value === undefined ? [] : [{ field, sql: spelledExactly(columns[field])(value, parameter) }];
  });
  return [
    ...filterConditions({ ...plain, since: undefined, before: undefined }, parameter),
    ...(actor === undefined ? [] : [{ field: 'actor' as const, sql: actorKinds[actor.kind](actor.value, parameter) }]),
    ...spelled,
    ...terms.map((term) => ({ field: 'q' as const, sql: termCondition(term, parameter), term })),
  ];
};
