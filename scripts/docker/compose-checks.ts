// Looks at a running stack of deploy/compose as Prometheus and Grafana see it. Called by compose.sh.
//
//   node scripts/docker/compose-checks.ts rules PROMETHEUS_URL      every rule evaluates, and no alert fires
//   node scripts/docker/compose-checks.ts promql PROMETHEUS_URL     every PromQL query of the dashboards answers
//   node scripts/docker/compose-checks.ts sql DATABASE_URL          every SQL query of the dashboards runs
import { Client } from 'pg';
import { promQueries, sqlQueries } from '../../test/support/deploy/dashboards.ts';
import { readRules } from '../../test/support/deploy/prometheus-rules.ts';

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly {
      readonly name: string;
      readonly health: string;
      readonly lastError?: string;
      readonly state?: string;
    }[];
  }[];
}

interface Answer<T> {
  readonly status: string;
  readonly error?: string;
  readonly warnings?: readonly string[];
  readonly data: T;
}

const get = async <T>(url: string): Promise<Answer<T>> =>
  (await (await fetch(url, { signal: AbortSignal.timeout(30_000) })).json()) as Answer<T>;

/** A list of what is wrong; empty where nothing is. Prints what was looked at. */
const rulesTrouble = async (url: string): Promise<string[]> => {
  const { data } = await get<Rules>(`${url}/api/v1/rules`);
  const rules = data.groups.flatMap((group) => group.rules);
  const wanted = readRules().length;
  const trouble = rules.length === wanted ? [] : [`${rules.length} rules are loaded, not ${wanted}`];
  for (const { name, health, lastError = '', state = 'inactive' } of rules) {
    if (health !== 'ok') trouble.push(`${name}: health ${health} ${lastError}`);
    if (state !== 'inactive') trouble.push(`${name} is ${state}`);
  }
  process.stdout.write(`${rules.length} rules\n`);
  return trouble;
};

const promqlTrouble = async (url: string): Promise<string[]> => {
  const trouble: string[] = [];
  let answered = 0;
  for (const { panel, text } of promQueries()) {
    const { status, error, data } = await get<{ result: unknown[] }>(
      `${url}/api/v1/query?query=${encodeURIComponent(text)}`,
    );
    if (status !== 'success') trouble.push(`${panel}: ${error} in ${text}`);
    else if (data.result.length > 0) answered += 1;
  }
  process.stdout.write(`${promQueries().length} expressions, ${answered} of them with series\n`);
  // Sinks there are none in this stack, and nothing is late or wrong.
  if (answered < promQueries().length / 2) trouble.push(`only ${answered} expressions have series`);
  return trouble;
};

const filters = [
  { organization: 'all', action: 'all', result: 'all', actor: '', resource: '' },
  { organization: "o'brien", action: 'create', result: '(none)', actor: "100%'; --", resource: 'zone' },
];

const sqlTrouble = async (url: string): Promise<string[]> => {
  // The account's own limit is for people. A busy machine takes longer, and that is not what is checked.
  const client = new Client({ connectionString: url, statement_timeout: 600_000 });
  await client.connect();
  const trouble: string[] = [];
  const empty: string[] = [];
  for (const [index, values] of filters.entries()) {
    for (const { panel, text } of sqlQueries(values)) {
      const rows = await client.query(text).then(
        (result) => result.rows.length,
        (error: Error) => void trouble.push(`${panel}: ${error.message}`),
      );
      if (index === 0 && rows === 0) empty.push(panel);
    }
  }
  const forbidden = await client.query('delete from audit_events').then(
    () => 'the reader may delete events',
    () => undefined,
  );
  if (forbidden !== undefined) trouble.push(forbidden);
  if (empty.length > 0) trouble.push(`no rows: ${empty.join(', ')}`);
  await client.end();
  process.stdout.write(`${sqlQueries({}).length} statements, each with ${filters.length} sets of filters\n`);
  return trouble;
};

const [what = '', where = ''] = process.argv.slice(2);
const look = { rules: rulesTrouble, promql: promqlTrouble, sql: sqlTrouble }[what];
if (look === undefined) throw new Error(`no such look: ${what}`);
const trouble = await look(where);
for (const each of trouble) process.stdout.write(`${each}\n`);
process.exitCode = trouble.length === 0 ? 0 : 1;
