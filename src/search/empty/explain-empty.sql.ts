import type { Pool } from 'pg';
import { type Actor, readActor } from '../conditions/actor.ts';
import type { EventQuery } from '../conditions/event-query.ts';
import { conditionsOf, everything } from '../conditions/search-conditions.sql.ts';
import { withSpellings } from '../conditions/spellings.sql.ts';
import type { SearchField } from '../search.ts';
import type { EmptyReport, FilterReport, NearValue } from '../search-answer.ts';
import { printTerm, type TermField } from '../terms/terms.ts';
import { type Look, lookWithin } from './look.sql.ts';
import { nearValues } from './near-values.sql.ts';

/** How each field of a query is called there. The flags are none: they name no value that could be misspelt. */
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
 * Why a search found nothing: which of its values occur at all, which of them in the time and organization searched, and what is near
 * those that do not. Bounded: what cannot be looked up within `totalMs` is null. What indexes help with comes first. `given`:
 * how the values were written. `nothing`: no event meets the query, so that only the rest has to be looked up. Organization
 * and account are known ones.
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
    const occurs = isAll ? false : await exists(look, alone);
    const occursInRange = occurs === true && !isWholeRange ? await exists(look, { ...alone, ...range }) : occurs;
    filters.push({ field, value, occurs, occursInRange, near: [] });
  }
  for (const term of terms) {
    const alone = { ...everything, terms: [term] };
    const occurs = await exists(look, alone);
    const occursInRange = occurs === true && !isWholeRange ? await exists(look, { ...alone, ...range }) : occurs;
    filters.push({ field: 'q', value: printTerm(term), occurs, occursInRange, near: [] });
  }
  const reports: FilterReport[] = [];
  for (const report of filters) {
    const near = report.occurs === true ? [] : await nearOf(look, report, query);
    reports.push({ ...report, near });
  }
  return { anyInRange, filters: reports };
};

const nearOf = async (look: Look, { field, value }: FilterReport, query: EventQuery): Promise<readonly NearValue[]> => {
  if (field !== 'q') return await nearValues(look, field, query[valueFields[field as ValueField]]);
  const term = query.terms?.find((one) => printTerm(one) === value);
  const [wanted] = term?.values ?? [];
  // Which of several values was meant is not known, and an exclusion of nothing is no reason.
  if (term === undefined || wanted === undefined || term.isNegated || term.values.length > 1) return [];
  const kind = actorKinds[term.field];
  const near = await nearValues(
    look,
    kind === undefined ? (term.field as SearchField) : 'actor',
    kind === undefined ? wanted : term.field === 'actor' ? readActor(wanted) : { kind, value: wanted },
  );
  return near.map((one) => ({ ...one, value: printTerm({ ...term, values: [one.value] }) }));
};

const actorKinds: Readonly<Partial<Record<TermField, Actor['kind']>>> = {
  actor: 'any',
  email: 'email',
  ip: 'ip',
  token: 'token',
  actor_id: 'id',
};

const exists = async (look: Look, query: EventQuery): Promise<boolean | null> => {
  const { sql, values } = conditionsOf(query, undefined, { low: undefined, high: undefined });
  const rows = await look<{ found: boolean }>(`select exists (select from audit_events where ${sql}) as found`, values);
  return rows?.[0]?.found ?? null;
};
