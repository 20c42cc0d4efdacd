import type { ClientBase, Pool } from 'pg';
import { organizationOfRank } from './large-history.ts';

/** A question that people ask of 90 days of history, in SQL as they (or the console) would write it. */
export interface Question {
  readonly name: string;
  readonly sql: string;
  /** One of these serves it; none: all of the time range is looked through. */
  readonly indexes: readonly string[];
}

const columns =
  'position, action_time, organization_id, actor_email, action_type, action_description, resource_type, resource_id, action_result';
const newest = 'order by action_time desc, position desc limit 50';
const actor = (organization: number, rank: number) => `md5('actor ${organization} ${rank}')`;
const token = (organization: number, rank: number) => `md5('token ${organization} ${rank}')`;
const address = (organization: number, rank: number) => `198.${18 + (organization % 2)}.${rank % 250}.1`;

/** `until`: the end of the 90 days, RFC 3339. The ids are those of large-history.ts. */
export const questionsUntil = (until: string): readonly Question[] => {
  const time = `action_time >= timestamptz '${until}' - interval '90 days' and action_time < timestamptz '${until}'`;
  const large = organizationOfRank(1);
  const middle = organizationOfRank(12);
  const events = (where: string, rest = newest) =>
    `select ${columns} from audit_events where ${where} and ${time} ${rest}`;
  const ask = (name: string, indexes: string, sql: string): Question => ({
    name,
    sql,
    indexes: indexes.split(' ').filter(Boolean),
  });
  return [
    ask('newest 50 of all', 'time', events('true')),
    ask(
      'the 50 after a given one (keyset)',
      'time',
      events(`(action_time, position) < (timestamptz '${until}' - interval '30 days', 1000000000)`),
    ),
    ask('who did what in an organization, newest 50', 'organization', events(`organization_id = ${middle}`)),
    ask('the same, the largest organization', 'organization time', events(`organization_id = ${large}`)),
    ask(
      'who did what in an organization, counted by actor and action',
      'organization',
      `select actor_id, min(actor_email) as actor_email, action_type, count(*) from audit_events
       where organization_id = ${middle} and ${time} group by actor_id, action_type order by count(*) desc limit 50`,
    ),
    ask(
      'what changed in an organization, newest 50',
      'organization',
      events(`organization_id = ${middle} and action_type <> 'view'`),
    ),
    ask(
      'what changed in an organization on one day, all',
      'organization',
      `select ${columns} from audit_events
       where organization_id = ${middle} and action_type <> 'view' and action_time >= timestamptz '${until}' - interval '31 days'
         and action_time < timestamptz '${until}' - interval '30 days' order by action_time`,
    ),
    ask(
      'everything that touched a resource',
      'resource_id',
      events(`resource_id = md5('resource 12 3')`, 'order by action_time'),
    ),
    ask('everything by an actor, by id', 'actor_id', events(`actor_id = ${actor(12, 5)}`, 'order by action_time')),
    ask(
      'everything by an actor, by e-mail',
      'actor_email',
      events(`actor_email = 'person-5@org-12.example'`, 'order by action_time'),
    ),
    ask('newest 50 of the busiest actor', 'actor_id time', events(`actor_id = ${actor(1, 2)}`)),
    ask(
      'everything from an address',
      'actor_ip_address',
      events(`actor_ip_address = '${address(12, 77)}'`, 'order by action_time'),
    ),
    ask(
      'everything with a token',
      'actor_token_id',
      events(`actor_token_id = ${token(12, 3)}`, 'order by action_time'),
    ),
    ask(
      'an actor by id, e-mail, address or token, newest 50',
      'actor_id actor_email actor_ip_address actor_token_id time',
      events(`(actor_id = 'person-7@org-12.example' or actor_email = 'person-7@org-12.example'
         or actor_ip_address = 'person-7@org-12.example' or actor_token_id = 'person-7@org-12.example')`),
    ),
    ask('failures, newest 50', 'exceptions', events(`action_result = 'failure'`)),
    ask(
      'failures by address, counted',
      'exceptions',
      `select actor_ip_address, count(*) from audit_events where action_result = 'failure' and ${time}
       group by actor_ip_address order by count(*) desc limit 20`,
    ),
    ask(
      'failures in an organization, newest 50',
      'exceptions organization',
      events(`action_result = 'failure' and organization_id = ${middle}`),
    ),
    ask(
      'who created API tokens, newest 50',
      'resource_action time',
      events(`resource_type = 'api_token' and action_type = 'create'`),
    ),
    ask('deletes of anything, newest 50', 'time resource_action', events(`action_type = 'delete'`)),
    ask('one product, newest 50', 'time', events(`resource_product = 'sso'`)),
    ask(
      'events per day in an organization',
      'organization',
      `select date_trunc('day', action_time), count(*) from audit_events where organization_id = ${middle} and ${time} group by 1 order by 1`,
    ),
    ask(
      'inside the request, in an organization of middle size',
      'organization',
      `select ${columns} from audit_history where organization_id = ${organizationOfRank(60)} and ${time}
         and payload @> '{"resource": {"request": {"name": "host-7.example.com"}}}' ${newest}`,
    ),
    ask(
      'text anywhere, in an organization of middle size',
      'organization text',
      events(`organization_id = ${organizationOfRank(60)} and raw::text ilike '%zone-7.example.com%'`),
    ),
    ask('often found text anywhere, newest 50', 'time text', events(`raw::text ilike '%host-1.example.com%'`)),
  ];
};

/** Those that need `orgtrail migrate --search-index`: rare things in all organizations. */
export const searchesUntil = (until: string): readonly Question[] => {
  const time = `action_time >= timestamptz '${until}' - interval '90 days' and action_time < timestamptz '${until}'`;
  return [
    {
      name: 'inside the request, in all organizations',
      indexes: ['payload'],
      sql: `select ${columns} from audit_history where ${time}
        and payload @> '{"resource": {"request": {"name": "host-9876.example.com"}}}' ${newest}`,
    },
    {
      name: 'rare text anywhere, in all organizations',
      indexes: ['text'],
      sql: `select ${columns} from audit_events where ${time} and raw::text ilike '%host-9876.example.com%' ${newest}`,
    },
  ];
};

/** By the name of each index on a partition, what the one of the parent is called behind audit_events_. */
export const indexNames = async (database: Pool | ClientBase): Promise<ReadonlyMap<string, string>> => {
  const { rows } = await database.query<{ name: string; root: string }>(
    `select inhrelid::regclass::text as name, replace(inhparent::regclass::text, 'audit_events_', '') as root from pg_inherits
     where inhparent in (select indexrelid from pg_index where indrelid = 'audit_events'::regclass)`,
  );
  return new Map(rows.map(({ name, root }) => [name, root]));
};

/** Of the plan of a question, which indexes of audit_events (by what comes behind audit_events_ at their root) it reads. */
export const indexesIn = (plan: string, indexesByName: ReadonlyMap<string, string>): readonly string[] => [
  ...new Set(
    [...plan.matchAll(/(?:using|on) (\w+?)(?: on \w+)?(?: \w+)?\s+\(/g)].flatMap(
      ([, name = '']) => indexesByName.get(name) ?? [],
    ),
  ),
];
