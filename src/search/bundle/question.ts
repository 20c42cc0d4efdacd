import { commandOf, misleading } from '../copies/shell-copies.ts';
import { fixTimes, printLine, printSearch, type Search, type SearchField } from '../search.ts';
import type { Term, TermField } from '../terms/terms.ts';

/** A question in each of the ways in which it can be asked, and in words. */
export interface Question {
  /** A condition each: an event must meet all of them. */
  readonly words: readonly string[];
  /** A query line; empty for a question about everything. */
  readonly line: string;
  /** Of the page of the console; without host if it is not known. */
  readonly address: string;
  /** For a terminal. */
  readonly command: string;
}

/** `origin`: of the console. Relative times are made out, so that each way asks the same later. */
export const questionOf = (asked: Search, nowMs: number, origin = ''): Question => {
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

const ANY_REST = ' (* is any rest)';

const hasStar = (values: readonly string[]): boolean => values.some((value) => value.includes('*'));

const SHOWN = 400;

/**
 * A text of others for one line of README.txt: no control or bidirectional character, no line break, and not endless.
 * So no text can look like a line of the list of files.
 */
export const inOneLine = (text: string): string => {
  const characters = [...text];
  const shown = characters
    .slice(0, SHOWN)
    .map((one) => (misleading.test(one) || separators.test(one) ? escaped(one) : one));
  return `${shown.join('')}${characters.length > SHOWN ? '… (query.json has all of it)' : ''}`;
};

const separators = /[\u2028\u2029]/;
const escaped = (character: string): string => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
