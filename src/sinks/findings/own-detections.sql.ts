import { z } from 'zod';
import { exitCodes } from '../../base/errors.ts';
import { instant, operation } from '../../base/operation.ts';
import { printable, table } from '../../base/text.ts';
import type { Pool } from '../../postgres/pool.ts';

const rule = z.object({
  name: z.string().describe('The view, and the detection that its findings have.'),
  says: z.string().nullable().describe('The comment of the view.'),
  position: z.number().nullable().describe('It has been asked up to here; null: not yet.'),
  askedAt: instant.nullable(),
  failedAt: instant.nullable(),
  faults: z.array(z.string()).readonly().describe('Why it is not asked, or what it lacks; empty: it is in order.'),
});

export const checkDetections = operation({
  name: 'detections check',
  says: 'Show the detections of your own, and what is wrong with one',
  path: '/v1/detections/own',
  tool: 'check_own_detections',
  needs: { scope: 'search' },
  help: `
A view of the schema orgtrail_detections is asked about each new event, as our own detections are: docs/detections.md. Exit code 1 if one of
them has a fault.

Examples:
  $ orgtrail detections check
  $ orgtrail detections check --json | jq -r '.[] | select(.faults != []) | .name'`,
  input: z.strictObject({}),
  output: z.array(rule).readonly(),
  run: ({ pool }: { readonly pool: Pool }) => readOwnDetections(pool),
  show: (rules) =>
    rules.length === 0
      ? 'no view in the schema orgtrail_detections: docs/detections.md says how to make one\n'
      : table(
          ['DETECTION', 'ASKED UP TO', 'STATE'],
          rules.map(({ name, position, faults }) => [
            printable(name, 63),
            position === null ? 'not yet' : String(position),
            faults.length === 0 ? 'ok' : printable(faults.join('; '), 400),
          ]),
        ),
  exitCode: (rules) => (rules.some(({ faults }) => faults.length > 0) ? exitCodes.sourceFailed : exitCodes.done),
});

const columns = {
  source_kind: 'text',
  source_id: 'text',
  id: 'text',
  position: 'bigint',
  action_time: 'timestamp with time zone',
  severity: 'text',
  summary: 'text',
  actor: 'text',
  actor_ip_address: 'text',
  organization_name: 'text',
  action_type: 'text',
  action_result: 'text',
  resource_type: 'text',
  resource_id: 'text',
};

const needed = Object.entries(columns).map(([name, type]) => `('${name}', '${type}')`);

const statement = `
  select c.relname as name, obj_description(c.oid, 'pg_class') as says, o.position::float8 as position,
    o.asked_at as "askedAt", o.failed_at as "failedAt", array_remove(array[
      case when c.relkind <> 'v' then 'it is no view' end,
      case when c.relowner <> s.relowner then 'it belongs to ' || pg_get_userbyid(c.relowner) || ': only views of ' || pg_get_userbyid(s.relowner) || ' are asked' end,
      case when c.relname !~ '^[a-z0-9_]{1,63}$' then 'its name must have small letters, digits and _ alone' end,
      case when exists (select from pg_class b where b.relnamespace = s.relnamespace and b.relname = 'detection_' || c.relname) then 'a detection of orgtrail has this name' end,
      (select 'it lacks ' || string_agg(n.name || ' (' || n.type || ')', ', ' order by n.name) from (values ${needed.join(', ')}) n (name, type)
       where not exists (select from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
         and a.attname = n.name and format_type(a.atttypid, null) in (n.type, replace(n.type, 'text', 'character varying')))),
      'it failed: ' || o.error], null) as faults
  from (select * from pg_class where relnamespace = to_regnamespace('orgtrail_detections') and relkind in ('v', 'm', 'r', 'p')) c
    left join own_detections o on o.name = c.relname
    cross join (select relowner, relnamespace from pg_class where oid = 'finding_head'::regclass) s
  order by 1`;

export type OwnDetection = z.output<typeof rule>;

export const readOwnDetections = async (pool: Pool): Promise<readonly OwnDetection[]> =>
  (await pool.query<OwnDetection>(statement)).rows;
