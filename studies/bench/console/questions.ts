import { createHash } from 'node:crypto';
import { type EntityKind, entitySearch } from '../../../src/search/entities.ts';
import { readSearch, type Search } from '../../../src/search/query/search.ts';

/** What a page of the console is asked for, over 90 days, with the ids of large-history.ts. */
export interface ConsoleQuestion {
  readonly name: string;
  readonly search: Search;
  readonly limitMs: number;
}

const BROAD_MS = 1_000;
const ONE_ORGANIZATION_MS = 300;
const ENTITY_MS = 500;
const RAY_MS = 100;
const DAY_MS = 86_400_000;

const md5 = (text: string): string => createHash('md5').update(text).digest('hex');
const instant = (ms: number): string => new Date(ms).toISOString();

/** The time of all questions: the 90 days before. */
const timeUntil = (untilMs: number) => ({ since: instant(untilMs - 90 * DAY_MS), before: instant(untilMs) });

const searchOf = (query: Readonly<Record<string, string>>, untilMs: number): Search => {
  const { search, faults } = readSearch({ ...timeUntil(untilMs), ...query }, untilMs);
  if (faults.length > 0) throw new Error(JSON.stringify(faults));
  return search;
};

/** Searches: those of `questionsUntil` that a person types into the console, and the broadest ones. */
export const searchesOf = (untilMs: number, events: number): readonly ConsoleQuestion[] => {
  const ask = (name: string, limitMs: number, query: Readonly<Record<string, string>>): ConsoleQuestion => ({
    name,
    search: searchOf(query, untilMs),
    limitMs,
  });
  const [large, middle, small] = [1, 12, 60].map((rank) => md5(`organization ${rank}`)) as [string, string, string];
  const day = { since: instant(untilMs - 31 * DAY_MS), before: instant(untilMs - 30 * DAY_MS) };
  return [
    ask('everything', BROAD_MS, {}),
    ask('everything but views', BROAD_MS, { q: '-action:view' }),
    ask('all that succeeded', BROAD_MS, { result: 'success' }),
    ask('one organization', ONE_ORGANIZATION_MS, { organization: middle }),
    ask('the largest organization', ONE_ORGANIZATION_MS, { organization: large }),
    ask('what changed in an organization', ONE_ORGANIZATION_MS, { organization: middle, q: '-action:view' }),
    ask('what changed in the largest organization', ONE_ORGANIZATION_MS, { organization: large, q: '-action:view' }),
    ask('what changed in an organization on one day', ONE_ORGANIZATION_MS, {
      organization: middle,
      q: '-action:view',
      ...day,
    }),
    ask('failures in an organization', ONE_ORGANIZATION_MS, { organization: middle, result: 'failure' }),
    ask('text in an organization of middle size', ONE_ORGANIZATION_MS, {
      organization: small,
      text: 'zone-7.example.com',
    }),
    ask('one account', ONE_ORGANIZATION_MS, { account: md5('account 12 1') }),
    ask('one zone', BROAD_MS, { zone: 'zone-3.org-1.example' }),
    ask('a resource', BROAD_MS, { resource: md5('resource 12 3') }),
    ask('an actor, by e-mail', BROAD_MS, { actor: 'person-5@org-12.example' }),
    ask('an actor, by id', BROAD_MS, { actor: `id:${md5('actor 12 5')}` }),
    ask('the busiest actor', BROAD_MS, { actor: `id:${md5('actor 1 2')}` }),
    ask('actors of a domain', BROAD_MS, { actor: 'person-5@*' }),
    ask('an address', BROAD_MS, { actor: '198.18.77.1' }),
    ask('a network', BROAD_MS, { actor: '198.18.77.0/24' }),
    ask('a token', BROAD_MS, { actor: `token:${md5('token 12 3')}` }),
    ask('a name of tokens that all organizations have', BROAD_MS, { actor: 'token:ci-3' }),
    ask('failures', BROAD_MS, { result: 'failure' }),
    ask('who created API tokens', BROAD_MS, { resource_type: 'api_token', action: 'create' }),
    ask('deletes of anything', BROAD_MS, { action: 'delete' }),
    ask('one product', BROAD_MS, { product: 'sso' }),
    ask('text that is often found', BROAD_MS, { text: 'host-1.example.com' }),
    ask('a ray id', RAY_MS, { ray: md5(`ray ${Math.round(events * 0.9)}`).slice(0, 16) }),
    ask('a ray id that is not there', RAY_MS, { ray: '0123456789abcdef' }),
  ];
};

/** Pages of entities, and of what is new in an organization. */
export const entitiesOf = (untilMs: number): readonly ConsoleQuestion[] => {
  const { since, before } = searchOf({}, untilMs);
  const time = { ...(since && { since }), ...(before && { before }) };
  const ask = (name: string, kind: EntityKind, value: string): ConsoleQuestion => ({
    name,
    search: { ...entitySearch(kind, value), ...time },
    limitMs: ENTITY_MS,
  });
  return [
    ask('an actor, by e-mail', 'actors', 'person-5@org-12.example'),
    ask('the busiest actor, by id', 'actors', md5('actor 1 2')),
    ask('an address', 'addresses', '198.18.77.1'),
    ask('the busiest address', 'addresses', '198.19.1.1'),
    ask('a token', 'tokens', md5('token 12 3')),
    ask('the busiest token', 'tokens', md5('token 1 1')),
    ask('a name of tokens that all organizations have', 'tokens', 'ci-1'),
    ask('a resource', 'resources', md5('resource 12 3')),
    ask('the busiest resource', 'resources', md5('resource 1 1')),
    {
      name: 'an account (what is new of it)',
      search: searchOf({ account: md5('account 12 1') }, untilMs),
      limitMs: ENTITY_MS,
    },
    {
      name: 'the largest account (what is new of it)',
      search: searchOf({ account: md5('account 1 1') }, untilMs),
      limitMs: ENTITY_MS,
    },
  ];
};
