import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { Client, Query } from 'pg';

/** A row of audit_feed, as far as the tests look at it. */
interface TailedRow {
  readonly position: number;
  readonly id: string;
  readonly raw: string;
}

/** One run of a tool: sends what the tool sends to read on behind a position, and hands out the rows as they come. */
type Run = (client: Client, after: number, onRow: (row: TailedRow) => void) => Promise<void>;

/** A tool that tails a table by a rising column through JDBC. */
export interface TailingTool {
  readonly name: string;
  /** The position that it starts with where it has none. */
  readonly initial: number;
  /** When it remembers a position: with every row that it passes on, or when a run has ended well. */
  readonly remembers: 'each row' | 'each run';
  readonly run: Run;
}

const LIMIT = 120;
const FETCH_SIZE = 50;

interface PortalQuery {
  readonly text: string;
  readonly values: readonly unknown[];
  readonly name?: string;
  /** The fetch size: so many rows at a time from a portal, which lives as long as the transaction. 0: all at once. */
  readonly rows?: number;
}

/** The extended protocol: Parse, Bind, Describe, and Execute until the portal is read to its end. */
const extended = (client: Client, query: PortalQuery, onRow: (row: TailedRow) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    const sent = client.query(new Query<TailedRow>(query as unknown as string));
    sent.on('row', (row: TailedRow) => onRow({ ...row, position: Number(row.position) }));
    sent.on('end', () => resolve());
    sent.on('error', reject);
  });

const inTransaction = async (client: Client, run: () => Promise<void>): Promise<void> => {
  await client.query('BEGIN');
  await run();
  await client.query('COMMIT');
};

/** logstash-integration-jdbc: its run is one statement, or several in autocommit with paging. jdbc_fetch_size has no effect. */
const logstash = (name: string, run: Run): TailingTool => ({
  name: `Logstash, ${name}`,
  initial: 0,
  remembers: 'each run',
  run,
});

const page = readFileSync(new URL('../../../docs/sql-tailing.md', import.meta.url), 'utf8');

/** What docs/sql-tailing.md tells people to configure, with a limit that a test gets to. */
const recipe = (setting: RegExp): string => {
  const value = setting.exec(page)?.[1];
  if (value === undefined) throw new Error(`docs/sql-tailing.md has no ${setting}`);
  return value.replaceAll('\\\n', '').replace('?', '$1').replace('10000', String(LIMIT));
};

const logstashStatement = recipe(/statement => "(.*)"/);
const splunkQuery = recipe(/\nquery = ([\s\S]*?)\ntail_/);
const kafkaQuery = recipe(/"query": "(.*)"/);
const kafkaSuffix = recipe(/"query.suffix": "(.*)"/);

/** As the statement is sent without prepared statements. */
const literal = (after: number): string => logstashStatement.replace('$1', String(after));
const unlimited = (after: number): string => literal(after).replace(/ limit .*/, '');

const autoPaging: Run = async (client, after, onRow) => {
  const counted = await client.query<{ count: string }>(
    `SELECT count(*) AS "count" FROM (${unlimited(after)}) AS "t1" LIMIT 1`,
  );
  const pages = Math.ceil(Number(counted.rows[0]?.count) / LIMIT);
  for (let page = 0; page < pages; page += 1) {
    const text = `SELECT * FROM (${unlimited(after)}) AS "t1" LIMIT ${LIMIT} OFFSET ${page * LIMIT}`;
    await extended(client, { text, values: [] }, onRow);
  }
};

const explicitPaging: Run = async (client, after, onRow) => {
  for (let offset = 0; ; offset += LIMIT) {
    let rows = 0;
    await extended(client, { text: `${unlimited(after)} limit ${LIMIT} offset ${offset}`, values: [] }, (row) => {
      rows += 1;
      onRow(row);
    });
    if (rows < LIMIT) return;
  }
};

/** kafka-connect-jdbc: autocommit off, the fetch size is batch.max.rows, a commit at the end of each result. */
const kafkaConnect = (name: string, text: string): TailingTool => ({
  name: `Kafka Connect JDBC source, ${name}`,
  initial: -1,
  remembers: 'each row',
  run: (client, after, onRow) =>
    inTransaction(client, () => extended(client, { text, values: [after], rows: FETCH_SIZE }, onRow)),
});

const table = '"public"."audit_feed"';
const incrementing = (column: string): string => ` WHERE ${column} > $1 ORDER BY ${column} ASC`;

/** As docs/sql-tailing.md gives them, and the ways that it advises against but people will use. */
export const tailingTools: readonly TailingTool[] = [
  logstash('prepared statement', (client, after, onRow) =>
    extended(client, { name: 'orgtrail', text: logstashStatement, values: [after] }, onRow),
  ),
  logstash('value in the statement', (client, after, onRow) =>
    extended(client, { text: literal(after), values: [] }, onRow),
  ),
  logstash('paging auto', autoPaging),
  logstash('paging explicit', explicitPaging),
  {
    name: 'Splunk DB Connect, autocommit',
    initial: 0,
    remembers: 'each run',
    run: (client, after, onRow) => extended(client, { text: splunkQuery, values: [after] }, onRow),
  },
  {
    name: 'Splunk DB Connect, fetch size in a transaction',
    initial: 0,
    remembers: 'each row',
    run: (client, after, onRow) =>
      inTransaction(client, () => extended(client, { text: splunkQuery, values: [after], rows: FETCH_SIZE }, onRow)),
  },
  kafkaConnect('query', `${kafkaQuery}${incrementing('"position"')} ${kafkaSuffix}`),
  kafkaConnect('table', `SELECT * FROM ${table}${incrementing(`${table}."position"`)} ${kafkaSuffix}`),
  kafkaConnect('no limit', `${kafkaQuery}${incrementing('"position"')}`),
];

/** What a tool has done until now. */
export interface Tailed {
  /** The rows up to the remembered position, as they were passed on. */
  readonly rows: TailedRow[];
  /** Rows that were passed on in a run that was killed before the tool remembered them: they came again. */
  repeated: number;
  kills: number;
  runs: number;
}

/**
 * Lets a tool follow the feed with a connection for each run, killed in the middle of a third of them, until a run that began
 * after `isWritten()` finds nothing more.
 */
export const followWith = async (
  tool: TailingTool,
  databaseUrl: string,
  random: () => number,
  isWritten: () => boolean,
): Promise<Tailed> => {
  const tailed: Tailed = { rows: [], repeated: 0, kills: 0, runs: 0 };
  for (;;) {
    const last = isWritten();
    const passedOn: TailedRow[] = [];
    // The first kill comes soon: how many runs there are is a matter of speed.
    const killAt =
      tailed.kills === 0 ? Math.floor(random() * 4) : random() < 1 / 3 ? Math.floor(random() * LIMIT) : undefined;
    const ended = await runOnce(tool, databaseUrl, tailed.rows.at(-1)?.position ?? tool.initial, (row) => {
      passedOn.push(row);
      return passedOn.length - 1 !== killAt;
    });
    tailed.runs += 1;
    if (ended || tool.remembers === 'each row') tailed.rows.push(...passedOn);
    else tailed.repeated += passedOn.length;
    if (!ended) tailed.kills += 1;
    if (ended && last && passedOn.length === 0) return tailed;
  }
};

/** Resolves with false where `onRow` said so: then the connection was cut at that row, and nothing behind it was passed on. */
const runOnce = async (
  tool: TailingTool,
  databaseUrl: string,
  after: number,
  onRow: (row: TailedRow) => boolean,
): Promise<boolean> => {
  const client = new Client({ connectionString: databaseUrl });
  let killed = false;
  // The statement under way fails as well.
  client.on('error', () => {});
  await client.connect();
  try {
    await tool.run(client, after, (row) => {
      if (killed) return;
      killed = !onRow(row);
      if (killed) socketOf(client).destroy();
    });
  } catch (error) {
    if (!killed) throw error;
  } finally {
    await client.end().catch(() => {});
  }
  return !killed;
};

const socketOf = (client: Client): Socket =>
  (client as unknown as { connection: { stream: Socket } }).connection.stream;
