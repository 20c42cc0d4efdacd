import type { WrittenBundle } from '../../evidence/export/readme.ts';
import type { EmptyReport, IncompleteReason, SearchCoverage, SearchHole } from '../answer.ts';
import { coverageBody, emptyBody } from '../contract.ts';
import { commandOf, misleading } from '../copy-as.sql.ts';
import { fixTimes, printLine, printSearch, type Search, type SearchField } from '../query/search.ts';
import type { Term, TermField } from '../query/terms.ts';

/** What README.txt says of the search, and `query.json` and `completeness.json` have in full. */
export const aboutSearch = (
  { events, unsigned, completeness }: Omit<SearchBundle, 'written'>,
  question: ReturnType<typeof questionOf>,
  askedAt: string,
): string[] => {
  const reasons = reasonsOf(completeness);
  return [
    'It is the answer of orgtrail to one question: each of these events is what orgtrail stored, unchanged since the checkpoint was',
    'signed. That these are all that match is what orgtrail answered, of what it had collected, and is not claimed: a bundle of the',
    'whole log of an organization or account shows that (orgtrail evidence export DIR --organization NAME).',
    '',
    ...asked(question),
    `Asked at            ${askedAt}`,
    `Events              ${events}${leftOutText(completeness)}`,
    ...(unsigned === 0 ? [] : [`Not signed yet      ${unsigned} more, which are not here`]),
    `Complete            ${reasons.length === 0 ? `yes, ${upTo(completeness)}` : `no: ${reasons.join(', ')}`}, as orgtrail says; ${COMPLETENESS} has the gaps and holes`,
  ];
};

/** A question without an end is asked some seconds before its last events are read. */
const upTo = ({ coverage }: SearchBundle['completeness']): string =>
  coverage.collectedUntil === null ? 'of nothing collected yet' : `up to ${coverage.collectedUntil}`;

export const QUERY = 'query.json';
export const COMPLETENESS = 'completeness.json';

/** Texts of others are each in a line that begins with words of this page, so that none can look like something else. */
const asked = ({ words, line, address, command }: ReturnType<typeof questionOf>): string[] => [
  ...words.map((word, at) => `${at === 0 ? 'Question            ' : '                and '}${inOneLine(word)}`),
  `As a query line     ${line === '' ? '(none: it asks for everything)' : inOneLine(line)}`,
  `In the console      ${inOneLine(address)}`,
  `In a terminal       ${inOneLine(command)}`,
];

const leftOutText = ({ leftOut }: SearchBundle['completeness']): string =>
  leftOut === undefined
    ? ''
    : `, the newest that match. Older ones are LEFT OUT, since the bundle is full: from ${
        leftOut.action_time ?? 'those without a time'
      } (position ${leftOut.position}) on`;

/** The same question in several ways; relative times are made out. `words`: a condition each, and all must hold. `origin`: of the console. */
export const questionOf = (asked: Search, nowMs: number, origin = '') => {
  const search = fixTimes(asked, nowMs);
  const parameters = printSearch(search).toString();
  return {
    words: wordsOf(search),
    line: printLine(search),
    address: `${origin}/events${parameters === '' ? '' : `?${parameters}`}`,
    command: commandOf(search, undefined),
  };
};

const names: Partial<Readonly<Record<SearchField | TermField, string>>> = {
  resource_type: 'type of the resource',
  product: 'product of the resource',
  resource: 'id of the resource',
  ray: 'Ray id',
  email: 'e-mail address of the actor',
  ip: 'IP address of the actor',
  token: 'token',
  actor_id: 'id of the actor',
  actor_type: 'type of the actor',
  context: 'context of the actor',
  status: 'HTTP status',
  method: 'HTTP method',
  uri: 'URI',
  agent: 'user agent',
};

const wordsOf = (search: Search): string[] => {
  const { terms = [], ...fields } = search;
  const words = [...printSearch(fields)].map(([field, value]) => ofField(field as SearchField, value));
  const all = [...words, ...terms.map(ofTerm)];
  return all.length === 0 ? ['every event that is stored'] : all;
};

const ofField = (field: SearchField, value: string): string => {
  if (field === 'since') return `at ${value} or later`;
  if (field === 'before') return value === 'now' ? 'up to now' : `before ${value}`;
  if (field === 'text') return `the entry contains ${JSON.stringify(value)}`;
  if (field === 'defects') return 'the entry could not be read in full';
  if (field === 'copies') return 'of an entry in the logs of several accounts, the first that matches';
  if (field === 'changed') return 'the entry changed later';
  return `the ${names[field] ?? field} is ${JSON.stringify(value)}${field === 'actor' && hasStar([value]) ? ANY_REST : ''}`;
};

const ofTerm = ({ field, isNegated, values }: Term): string => {
  const list = values.map((value) => JSON.stringify(value)).join(' or ');
  if (field === 'text') return `the entry ${isNegated ? 'does not contain' : 'contains'} ${list}`;
  return `the ${names[field] ?? field} is ${isNegated ? 'not ' : ''}${list}${hasStar(values) ? ANY_REST : ''}`;
};

const ANY_REST = ' (* is any text)';

const hasStar = (values: readonly string[]): boolean => values.some((value) => value.includes('*'));

const SHOWN = 400;

/** No control or bidirectional character, no line break, and not endless: so no text of others can look like a line of the list of files. */
const inOneLine = (text: string): string => {
  const characters = [...text];
  const shown = characters
    .slice(0, SHOWN)
    .map((one) => (misleading.test(one) || separators.test(one) ? escaped(one) : one));
  return `${shown.join('')}${characters.length > SHOWN ? '… (query.json has all of it)' : ''}`;
};

const separators = /[\u2028\u2029]/;
const escaped = (character: string): string => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;

/** Of gaps and holes; all are counted in the seconds. */
export const MAX_NAMED = 1_000;

/** The newest event that matches and is not in the bundle, since that is full. */
export interface LeftOut {
  readonly position: number;
  /** Null if the entry has none. */
  readonly action_time: string | null;
}

interface Completeness {
  readonly coverage: SearchCoverage;
  readonly holes: readonly SearchHole[];
  readonly empty: EmptyReport | undefined;
  readonly incomplete: readonly IncompleteReason[];
  /** Undefined: nothing that matches is left out. */
  readonly leftOut: LeftOut | undefined;
}

export const reasonsOf = ({ incomplete, leftOut }: Completeness): readonly string[] => [
  ...incomplete,
  ...(leftOut === undefined ? [] : ['older_events_left_out']),
];

/** `completeness.json`, in the names of `GET /v1/search`. */
export const completenessJson = (completeness: Completeness) => {
  const { coverage, holes, empty, leftOut } = completeness;
  const because = reasonsOf(completeness);
  const {
    filtered,
    archived_months,
    dropped_months,
    begins_earlier,
    not_collected: _,
    ...collected
  } = coverageBody(coverage);
  return {
    complete: because.length === 0,
    incomplete_because: because,
    newest_left_out: leftOut ?? null,
    ...collected,
    begins_before_collection: begins_earlier,
    ...{ filtered, archived_months, dropped_months },
    gaps: coverage.gaps.map((gap) => ({
      organization_id: gap.organizationId,
      organization_name: gap.organizationName,
      account_id: gap.accountId,
      account_name: gap.accountName,
      since: gap.since,
      before: gap.before,
    })),
    holes: holes.map(({ sourceKind, sourceId, since, before, reason, message }) => ({
      source_kind: sourceKind,
      source_id: sourceId,
      since,
      before,
      reason,
      message,
    })),
    empty: empty === undefined ? null : emptyBody(empty).filters.map(({ near: _near, ...filter }) => filter),
  };
};

export interface SearchBundle {
  /** Signed, and in the bundle. */
  readonly events: number;
  readonly unsigned: number;
  readonly completeness: Completeness;
  readonly written: WrittenBundle;
}
