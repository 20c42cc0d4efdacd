import type { Pool } from 'pg';
import { nearest } from '../base/text.ts';
import { readOnly } from '../postgres/queries.ts';
import type { EmptyReport, FilterReport, NearValue } from './answer.ts';
import { conditionsOf, everything, nothingInTime, withSpellings } from './conditions/search-conditions.sql.ts';
import { textsOfNetwork } from './query/address-starts.ts';
import { type EventQuery, mayHaveName, patternOf } from './query/event-query.ts';
import { actorTerms, type SearchField } from './query/search.ts';
import { type Actor, coarseNetworkOf, isAddress, prefixOf, printTerm, readActor } from './query/terms.ts';

/** As a query calls them. The flags are left out: they name no value that could be misspelt. */
const valueFields = {
  organization: 'organization',
  account: 'account',
  actor: 'actor',
  resource_type: 'resourceType',
  resource: 'resource',
  action: 'action',
  result: 'result',
  product: 'product',
  ray: 'ray',
  zone: 'zone',
  text: 'text',
} as const satisfies Partial<Record<SearchField, keyof EventQuery>>;
type ValueField = keyof typeof valueFields;

/**
 * Why a search found nothing: which of its values occur at all, which of them in the time and organization searched, and what is near those that
 * do not. What cannot be looked up within `totalMs` is null. `given`: how the values were written. `nothing`: no event meets the query, so that
 * only the rest has to be looked up. Organization and account are known ones.
 */
export const explainEmpty = async (
  pool: Pool,
  searched: EventQuery,
  given: Readonly<Partial<Record<SearchField, string>>>,
  { totalMs, nothing }: { readonly totalMs: number; readonly nothing: boolean },
): Promise<EmptyReport> => {
  const look = lookWithin(pool, totalMs);
  const query = await withSpellings(pool, searched, totalMs);
  const { terms = [] } = query;
  const fields = (Object.keys(valueFields) as ValueField[]).filter((field) => query[valueFields[field]] !== undefined);
  const range = { since: query.since, before: query.before, organization: query.organization, account: query.account };
  const isWholeRange = Object.values(range).every((end) => end === undefined);
  const anyInRange = await exists(look, { ...everything, ...range });
  const occurrence = async (alone: EventQuery) => {
    const occurs = await exists(look, alone);
    const occursInRange = occurs === true && !isWholeRange ? await exists(look, { ...alone, ...range }) : occurs;
    return { occurs, occursInRange };
  };
  const filters: FilterReport[] = [];
  for (const field of fields) {
    const value = given[field] ?? '';
    if (field === 'organization' || field === 'account') {
      filters.push({ field, value, occurs: true, occursInRange: anyInRange, near: [] });
      continue;
    }
    const { spellings, rayPositions } = query;
    const alone = { ...everything, spellings, rayPositions, [valueFields[field]]: query[valueFields[field]] };
    const isAll =
      nothing && isWholeRange && fields.length === 1 && !query.defects && !query.changed && terms.length === 0;
    filters.push({
      field,
      value,
      ...(isAll ? { occurs: false, occursInRange: false } : await occurrence(alone)),
      near: [],
    });
  }
  for (const term of terms) {
    const found = await occurrence({ ...everything, terms: [term] });
    filters.push({ field: 'q', value: printTerm(term), ...found, near: [] });
  }
  const reports: FilterReport[] = [];
  for (const report of filters)
    reports.push({ ...report, near: report.occurs === true ? [] : await nearOf(look, report, query) });
  return { anyInRange, filters: reports };
};

const nearOf = async (look: Look, { field, value }: FilterReport, query: EventQuery): Promise<readonly NearValue[]> => {
  if (field !== 'q') return await nearValues(look, field, query[valueFields[field as ValueField]]);
  const term = query.terms?.find((one) => printTerm(one) === value);
  const [wanted] = term?.values ?? [];
  // Which of several values was meant is not known, and an exclusion of nothing is no reason.
  if (term === undefined || wanted === undefined || term.isNegated || term.values.length > 1) return [];
  if (term.field === 'detection') {
    const found = await look<NearValue>(
      'select detection as value, count(*)::integer as events, false as "atLeast" from findings group by 1',
      [],
    );
    const names = nearest(
      wanted,
      (found ?? []).map(({ value: name }) => name),
      MAX_NEAR,
    );
    return (found ?? [])
      .filter(({ value: name }) => names.includes(name))
      .map((one) => ({ ...one, value: `detection:${one.value}` }));
  }
  const kind = actorTerms[term.field];
  const actor = kind === undefined ? undefined : { kind, value: wanted };
  const near = await (term.field === 'actor' || actor !== undefined
    ? nearValues(look, 'actor', actor ?? readActor(wanted))
    : nearValues(look, term.field as SearchField, wanted));
  return near.map((one) => ({ ...one, value: printTerm({ ...term, values: [one.value] }) }));
};

const exists = async (look: Look, query: EventQuery): Promise<boolean | null> => {
  const { sql, values } = conditionsOf(query, undefined, { low: undefined, high: undefined });
  const rows = await look<{ found: boolean }>(`select exists (select from audit_events where ${sql}) as found`, values);
  return rows?.[0]?.found ?? null;
};

const MAX_NEAR = 5;
/** The newest: what people look for is in use. */
const SAMPLED_EVENTS = 20_000;
/** For fields whose values are nearly all different: comparing them takes longer than finding them, and a near one is most likely new. */
const SAMPLED_OF_UNIQUE = 2_000;
const MAX_COUNTED = 1_000;
const MAX_NAMED = 2_000;
const MAX_NAME = 400;

const sampledColumns: Partial<Record<SearchField, readonly string[]>> = {
  action: ['action_type'],
  result: ['action_result'],
  product: ['resource_product'],
  resource_type: ['resource_type'],
  resource: ['resource_id'],
  ray: ['raw_cf_ray_id'],
  zone: ['zone_name', 'zone_id'],
  actor: ['actor_email', 'actor_token_name', 'actor_id', 'actor_token_id', 'actor_ip_address'],
};
/** They have few values: if none is near, all are worth naming. */
const enumerated: readonly SearchField[] = ['action', 'result', 'product', 'resource_type'];

/** The stored values nearest to one that no stored event has. Empty if there was no time. */
const nearValues = async (
  look: Look,
  field: SearchField,
  wanted: string | Actor | undefined,
): Promise<readonly NearValue[]> => {
  const columns = sampledColumns[field];
  if (columns === undefined || wanted === undefined) return [];
  if (typeof wanted !== 'string') return await nearActors(look, wanted, columns);
  const { counts, isPart } = await sample(look, columns, field === 'ray' ? SAMPLED_OF_UNIQUE : SAMPLED_EVENTS);
  const known = [...counts.keys()];
  const near = nearest(wanted, known, MAX_NEAR);
  const shown = near.length > 0 || !enumerated.includes(field) ? near : known.slice(0, MAX_NEAR);
  return shown.map((value) => ({ value, events: counts.get(value) ?? 0, atLeast: isPart }));
};

const sample = async (look: Look, columns: readonly string[], events = SAMPLED_EVENTS) => {
  const rows = await look<{ value: string | null; events: number }>(
    `select value, count(*)::integer as events
     from (select ${columns.join(', ')} from audit_events order by action_time desc, position desc limit ${events}) newest
       cross join lateral (values ${columns.map((column) => `(${column})`).join(', ')}) as of (value)
     group by value order by events desc, value`,
    [],
  );
  const named = (rows ?? []).filter(({ value }) => value !== null && value !== '');
  const sampled = (rows ?? []).reduce((sum, { events }) => sum + events, 0) / columns.length;
  return {
    counts: new Map(named.map(({ value, events }) => [value as string, events])),
    isPart: sampled >= events,
  };
};

/** Those of all of history that begin so, by an index; else those of the newest events that differ a little. */
const nearActors = async (look: Look, actor: Actor, columns: readonly string[]): Promise<readonly NearValue[]> => {
  const given = prefixOf(actor.value) ?? actor.value;
  const network = networkOf(given);
  const found = network === undefined ? [] : await addressesIn(look, network);
  found.push(...(await beginningWith(look, given)));
  if (found.length === 0) found.push(...(await sample(look, columns)).counts.keys());
  const near = network === undefined ? nearest(given, [...new Set(found)], MAX_NEAR) : found.slice(0, MAX_NEAR);
  const counted: NearValue[] = [];
  for (const value of near) {
    const count = await countActor(look, value);
    counted.push({ value, events: count ?? 1, atLeast: count === undefined || count >= MAX_COUNTED });
  }
  return counted;
};

/** The /24 or /64 that an address is in; for a beginning of an address, wherever it ends, the network of its whole parts. */
const networkOf = (given: string): string | undefined => {
  const separator = given.includes(':') ? ':' : '.';
  if (!isAddress(given)) return coarseNetworkOf(/[.:]$/.test(given) ? given : `${given}${separator}`);
  return given.includes('/') ? undefined : `${given}/${separator === ':' ? 64 : 24}`;
};

/** E-mail addresses by steps through an index, which skip the values in between; others from some events. */
const beginningWith = async (look: Look, start: string): Promise<readonly string[]> => {
  const ofEvents = (column: 'actor_email' | 'actor_token_name') =>
    `select distinct left(name, ${MAX_NAME}) as key from (select lower(${column}) as name from audit_events
       where ${mayHaveName(column, '$1', true)} limit ${MAX_NAMED}) e where starts_with(name, lower($1)) order by 1 limit ${MAX_NEAR}`;
  const found: string[] = [];
  for (const [sql, value] of [
    [stepsThrough('actor_email', 'actor_email like lower($1)'), patternOf(start)],
    [ofEvents('actor_email'), start],
    [ofEvents('actor_token_name'), start],
  ] as const)
    found.push(...((await look<{ key: string }>(sql, [value])) ?? []).map(({ key }) => key));
  return found.map((value) => value.toLowerCase());
};

const addressesIn = async (look: Look, network: string): Promise<string[]> => {
  const found: string[] = [];
  for (const start of textsOfNetwork(network)?.starts ?? []) {
    if (found.length >= MAX_NEAR) break;
    const within = 'coalesce(orgtrail_ip(actor_ip_address) <<= $2::inet, false)';
    const sql = stepsThrough('actor_ip_address', `actor_ip_address like $1 and ${within}`);
    found.push(...((await look<{ key: string }>(sql, [`${start}%`, network])) ?? []).map(({ key }) => key));
  }
  return found;
};

const stepsThrough = (column: string, where: string): string => {
  const next = (more: string): string =>
    `select ${column} as key from audit_events where ${where}${more} order by ${column} using ~<~ limit 1`;
  return steps(next(''), next(` and ${column} ~>~ last.key`));
};

const steps = (first: string, next: string): string =>
  `with recursive last (key) as (
     (${first}) union all select (${next}) from last where last.key is not null)
   select key from last where key is not null limit ${MAX_NEAR}`;

const countActor = async (look: Look, value: string): Promise<number | undefined> => {
  const query: EventQuery = { ...everything, actor: { kind: 'any', value } };
  const { sql, values } = conditionsOf(query, undefined, { low: undefined, high: undefined });
  const rows = await look<{ events: number }>(
    `select count(*)::integer as events from (select from audit_events where ${sql} limit ${MAX_COUNTED}) found`,
    values,
  );
  return rows?.[0]?.events;
};

/** For one statement: one that no index helps with leaves time for the others. */
const LOOK_MS = 1_000;
const LEAST_LOOK_MS = 20;

/** Undefined if there is no time left. */
type Look = <T extends object>(sql: string, values: readonly unknown[]) => Promise<readonly T[] | undefined>;

const lookWithin = (pool: Pool, totalMs: number): Look => {
  const deadlineMs = performance.now() + totalMs;
  return async <T extends object>(sql: string, values: readonly unknown[]) => {
    const remainingMs = Math.floor(Math.min(LOOK_MS, deadlineMs - performance.now()));
    if (remainingMs < LEAST_LOOK_MS) return undefined;
    const asked = readOnly(pool, remainingMs, (client) => client.query<T>(sql, [...values]));
    return (await asked.catch(nothingInTime))?.rows;
  };
};
