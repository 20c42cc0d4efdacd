import type { AddParameter } from '../conditions/filter-conditions.sql.ts';
import { isFirstMatch } from '../conditions/search-conditions.sql.ts';
import type { Search, TimeBound } from '../search.ts';
import { plainConditions } from '../terms/plain-conditions.sql.ts';
import { misleading } from './shell-copies.ts';

const columns =
  'position, action_time, organization_id, account_id, actor_email, actor_ip_address, action_type, action_result, resource_type, resource_id, id';

/**
 * The search as a statement on `audit_events` that stands by itself, for an account with the role orgtrail_reader. Organizations and
 * accounts of the search are ids. Unlike the statements of the explorer it needs no lookup of spellings, and relative times stay relative.
 */
export const sqlOf = (search: Search, limit: number): string => {
  const values: unknown[] = [];
  const parameter: AddParameter = (value) => `$${values.push(value)}`;
  const wanted = partsOf(search, parameter);
  const first = search.copies === 'first' ? [isFirstMatch(wanted)] : [];
  const parts = [...timesOf(search), ...wanted, ...first].map((part) =>
    part.replace(/\$(\d+)/g, (_, n: string) => literal(values[Number(n) - 1])),
  );
  const where = parts.length === 0 ? '' : `\nwhere ${parts.join('\n  and ')}`;
  return `select ${columns}\nfrom audit_events${where}\norder by action_time desc, position desc\nlimit ${limit};`;
};

const partsOf = ({ since: _since, before: _before, ...query }: Search, parameter: AddParameter): readonly string[] =>
  plainConditions(query, parameter).map(({ sql }) => sql);

const timesOf = ({ since, before }: Search): readonly string[] => [
  ...(since === undefined ? [] : [`action_time >= ${instantOf(since)}`]),
  ...(before === undefined ? [] : [`action_time < ${instantOf(before)}`]),
];

/** No days: one of the session's time zone may have 23 hours. */
const units = [
  ['hours', 3_600_000],
  ['minutes', 60_000],
] as const;

const instantOf = (bound: TimeBound): string => {
  if (bound.kind === 'at') return `timestamptz ${quoted(bound.text)}`;
  if (bound.ms === 0) return 'now()';
  const [unit, ms] = units.find(([, one]) => bound.ms % one === 0) ?? ['seconds', 1_000];
  return `now() - interval '${bound.ms / ms} ${unit}'`;
};

const literal = (value: unknown): string => {
  if (typeof value === 'number') return String(value);
  return Array.isArray(value) ? `array[${value.map(literal).join(', ')}]` : quoted(String(value));
};

/** Misleading characters are written as escapes. */
const quoted = (text: string): string => {
  if (!misleading.test(text)) return `'${text.replaceAll("'", "''")}'`;
  const escaped = [...text].map((character) => {
    if (misleading.test(character)) return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
    if (character === '\\') return '\\\\';
    return character === "'" ? "''" : character;
  });
  return `E'${escaped.join('')}'`;
};
