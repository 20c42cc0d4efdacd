import type { SearchField } from '../search.ts';
import { type ActorKind, actorPrefixOf, coarseNetworkOf, isAddress } from './actor.ts';
import type { EventQuery } from './search-conditions.sql.ts';
import type { Enumeration } from './spellings.sql.ts';

/** What one field of a search asks of `audit_events`, as SQL. */
export interface FilterCondition {
  readonly field: SearchField;
  readonly sql: string;
}

/** Adds a value to those of the statement and gives its name, `$1` and so on. */
export type AddParameter = (value: unknown) => string;

/**
 * The conditions of all fields but the time, one each. The expressions are those of the indexes of drizzle/0017: e-mail
 * addresses and names of tokens are compared whatever the case of their letters, enumerations in all their spellings.
 */
export const filterConditions = (query: EventQuery, parameter: AddParameter): readonly FilterCondition[] => {
  const parts: FilterCondition[] = [];
  const add = <T>(field: SearchField, value: T | undefined, sql: (value: T) => string) => {
    if (value !== undefined) parts.push({ field, sql: sql(value) });
  };
  add('organization', query.organization, (value) => `organization_id = ${parameter(value)}`);
  add('actor', query.actor, (actor) => actorCondition(actor, parameter));
  add('action', spellingsOf(query, 'action'), (values) => anyOf('action_type', values, parameter));
  add('result', spellingsOf(query, 'result'), (values) => anyOf('action_result', values, parameter));
  add('product', spellingsOf(query, 'product'), (values) => anyOf('resource_product', values, parameter));
  add('resource_type', spellingsOf(query, 'resourceType'), (values) => anyOf('resource_type', values, parameter));
  add('resource', query.resource, (value) => `resource_id = ${parameter(value)}`);
  add('ray', query.ray, (value) => `raw_cf_ray_id = ${parameter(value)}`);
  add('text', query.text, (value) => `raw::text ilike ${parameter(`%${likeText(value)}%`)}`);
  if (query.defects) parts.push({ field: 'defects', sql: 'defects is not null' });
  if (query.changed) {
    parts.push({ field: 'changed', sql: 'position in (select c.position from audit_event_changes c)' });
  }
  return parts;
};

/** An equality if it is one, as partial indexes want it. */
const anyOf = (column: string, values: readonly string[], parameter: AddParameter): string =>
  values.length === 1 ? `${column} = ${parameter(values[0])}` : `${column} = any(${parameter(values)}::text[])`;

const spellingsOf = (query: EventQuery, name: Enumeration): readonly string[] | undefined => {
  const value = query[name];
  return value === undefined ? undefined : (query.spellings?.[name] ?? [value]);
};

/** What is indexed of a text whatever the case of its letters: longer ones would not fit into an index. */
const FOLDED_LENGTH = 400;
export const folded = (text: string): string => `(left(lower(${text}), ${FOLDED_LENGTH}) collate "C")`;

const actorCondition = ({ kind, value }: { kind: ActorKind; value: string }, parameter: AddParameter): string => {
  const start = actorPrefixOf(value);
  const parts = start === undefined ? exactParts(kind, value, parameter(value)) : startParts(kind, start, parameter);
  return `(${parts.join(' or ')})`;
};

const exactParts = (kind: ActorKind, value: string, name: string): string[] => {
  const email = `${folded('actor_email')} = ${folded(name)}`;
  const id = `actor_id = ${name}`;
  const token = [`actor_token_id = ${name}`, `${folded('actor_token_name')} = ${folded(name)}`];
  const address = addressPart(value, name);
  if (kind === 'email') return [email];
  if (kind === 'id') return [id];
  if (kind === 'token') return token;
  return kind === 'ip' ? [address] : [email, id, ...token, `actor_ip_address = ${name}`];
};

const addressPart = (value: string, name: string): string => {
  const same = `actor_ip_address = ${name}`;
  if (!isAddress(value)) return same;
  if (value.includes('/')) return `orgtrail_ip(actor_ip_address) <<= ${name}::inet`;
  return `${same} or orgtrail_ip(actor_ip_address) = ${name}::inet`;
};

const startParts = (kind: ActorKind, start: string, parameter: AddParameter): string[] => {
  const pattern = parameter(`${likeText(start.slice(0, FOLDED_LENGTH / 2))}%`);
  const email = `${folded('actor_email')} like lower(${pattern})`;
  const token = `${folded('actor_token_name')} like lower(${pattern})`;
  if (kind === 'email') return [email];
  if (kind === 'id') return [`actor_id like ${pattern}`];
  if (kind === 'token') return [`actor_token_id like ${pattern}`, token];
  if (kind === 'any') return [email, token];
  const network = coarseNetworkOf(start);
  const within = network === undefined ? '' : `orgtrail_ip(actor_ip_address) <<= ${parameter(network)}::inet and `;
  return [`(${within}lower(actor_ip_address) like lower(${pattern}))`];
};

const likeText = (text: string): string => text.replace(/[\\%_]/g, '\\$&');
