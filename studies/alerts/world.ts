import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { makeKeyFile } from '../../src/evidence/keys.ts';
import type { Simulator } from '../../src/simulator/interface.ts';
import type { SimulatorOptions } from '../../src/simulator/options.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';
import { prepareForDaemon } from '../../test/support/accounts/daemon-account.ts';
import { type Prometheus, startPrometheus } from '../../test/support/deploy/prometheus.ts';
import { rememberForRewind } from '../../test/support/evidence/rewind.ts';
import { type ApiGate, startApiGate } from '../../test/support/network/api-gate.ts';
import { withDatabase } from '../../test/support/postgres/postgres-server.ts';
import { retryDeadlocks } from '../../test/support/postgres/retry-deadlocks.ts';
import { type OrgtrailProcess, startOrgtrail } from '../../test/support/process/orgtrail-process.ts';
import { shortenedRules } from './shortened-rules.ts';

export interface WorldPlan {
  readonly name: string;
  readonly simulator: SimulatorOptions;
  readonly replicas: number;
  /** Settings of the daemon beside those that every world has. */
  readonly env?: Readonly<Record<string, string>>;
  /** Before the daemon starts. */
  readonly prepare?: (simulator: Simulator) => void;
  /** With a webhook sink. */
  readonly sink?: true;
  /** With the signed log of what is stored; settings beside its name and key. `directory` is of the world. */
  readonly evidence?: (directory: string) => Readonly<Record<string, string>>;
}

/** What a webhook receiver does: take all, be away (503), or refuse (400) deliveries with this text in them. */
type ReceiverMode = 'open' | 'away' | { readonly refuses: string };

/** A simulated Cloudflare behind a gate, daemons on a database of their own, and a Prometheus that watches them by the shortened rules. */
export interface AlertWorld extends AsyncDisposable {
  readonly simulator: Simulator;
  readonly gate: ApiGate;
  readonly replicas: readonly OrgtrailProcess[];
  readonly prometheus: Prometheus;
  setReceiver(mode: ReceiverMode): void;
  /** Events in the database; with this id, where one is given. */
  stored(id?: string): Promise<number>;
  /** Removes an event of more than two hours ago from the database, as its owner may. Returns its id. */
  removeOld(): Promise<string>;
  /** Changes the database behind the back of the daemons. */
  execute(statement: string): Promise<void>;
  /** The rows of a question, as the owner of the database. */
  query(statement: string): Promise<readonly unknown[]>;
  /** Remembers how feed and evidence stand; what it returns puts them back to that at once, as a restore does. */
  rememberForRewind(): Promise<() => Promise<void>>;
  /** A folder of its own. */
  readonly directory: string;
  /** The account of the daemons. */
  readonly account: string;
}

const LIVE_PER_SECOND = 2;
const SETTLE = '2s,4s';

export const openAlertWorld = async (plan: WorldPlan, serverUrl: string, parent: string): Promise<AlertWorld> => {
  const stack = new AsyncDisposableStack();
  try {
    const directory = join(parent, plan.name);
    await mkdir(directory);
    const { url, client } = await createDatabase(serverUrl, stack);
    const simulator = await startSimulator(plan.simulator);
    stack.defer(() => simulator.close());
    plan.prepare?.(simulator);
    const gate = stack.use(await startApiGate(Number(new URL(simulator.baseUrl).port)));
    const receiver = await startReceiver(stack);
    const replicas: OrgtrailProcess[] = [];
    const daemonUrl = await prepareForDaemon(url);
    const ownUrl = plan.evidence && (await createEvidenceAccount(client, url, stack));
    if (plan.evidence !== undefined) makeKeyFile(join(directory, 'key.pem'));
    const env = {
      CLOUDFLARE_API_TOKEN: 'token-of-the-alert-run',
      CLOUDFLARE_BASE_URL: simulator.baseUrl.replace(/:\d+/, `:${gate.port}`),
      DATABASE_URL: ownUrl ?? daemonUrl,
      ORGTRAIL_HTTP_PORT: '0',
      ORGTRAIL_SCHEDULE: '* * * * * *',
      ORGTRAIL_LEASE: '3s',
      ORGTRAIL_SETTLE: SETTLE,
      ORGTRAIL_SCRUB_EVERY: '2s',
      ORGTRAIL_API_BUDGET: '1000000',
      ...(plan.sink === undefined ? {} : { ORGTRAIL_SINKS: sinkSetting(receiver.url) }),
      ...(plan.evidence && evidenceSettings(directory)),
      ...plan.evidence?.(directory),
      ...plan.env,
    };
    stack.defer(() => stopAll(replicas));
    for (let count = 0; count < plan.replicas; count += 1) replicas.push(startOrgtrail(['run'], env));
    await Promise.all(replicas.map((replica) => replica.waitFor('orgtrail started')));
    const urls = replicas.map((replica) => /"url":"([^"]+)"/.exec(replica.stdout())?.[1] ?? '');
    const stream = setInterval(nextEntry(simulator), 1_000 / LIVE_PER_SECOND);
    stack.defer(() => clearInterval(stream));
    const ruleFile = join(directory, 'rules.yml');
    await writeFile(ruleFile, shortenedRules());
    const prometheus = await startPrometheus(urls, directory, '1s', ruleFile);
    if (prometheus === undefined) throw new Error('prometheus is not installed');
    stack.use(prometheus);
    return {
      simulator,
      gate,
      replicas,
      prometheus,
      setReceiver: receiver.set,
      stored: async (id) => {
        const { rows } = await client.query('select count(*) from audit_events where $1::text is null or id = $1', [
          id ?? null,
        ]);
        return Number(rows[0].count);
      },
      removeOld: async () => {
        // Read by all passes: else one of those would read it again, which is no find of a round.
        const remove = () =>
          client.query(
            `delete from audit_events where position = (
               select min(e.position) from audit_events e where e.action_time < now() - interval '2 hours' and (
                 select count(*) from coverage c where c.source_kind = e.source_kind and c.source_id = e.source_id
                   and c.pass <= $1 and c.ranges @> e.action_time) > $1) returning id`,
            [SETTLE.split(',').length],
          );
        for (;;) {
          const { rows } = await retryDeadlocks(remove);
          if (rows.length > 0) return rows[0].id;
          await sleep(200);
        }
      },
      execute: async (statement) => void (await retryDeadlocks(() => client.query(statement))),
      query: async (statement) => (await client.query(statement)).rows,
      rememberForRewind: async () => {
        const rewind = await rememberForRewind(client);
        return async () => await retryDeadlocks(() => inOneTransaction(client, rewind));
      },
      directory,
      account: new URL(ownUrl ?? daemonUrl).username,
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
};

const evidenceSettings = (directory: string) => ({
  ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence',
  ORGTRAIL_EVIDENCE_INTERVAL: '1s',
  ORGTRAIL_EVIDENCE_KEY_FILE: join(directory, 'key.pem'),
});

/** An account that may build, of this world alone. Its URL. */
const createEvidenceAccount = async (client: Client, url: string, stack: AsyncDisposableStack): Promise<string> => {
  const name = `orgtrail_alerts_${randomBytes(6).toString('hex')}`;
  await client.query(`create role ${name} login password '${name}'`);
  stack.defer(async () => {
    await client.query(`drop owned by ${name}`);
    await client.query(`drop role ${name}`);
  });
  await client.query(`grant orgtrail_ingest, orgtrail_evidence to ${name}`);
  const own = new URL(url);
  own.username = name;
  own.password = name;
  return own.href;
};

const inOneTransaction = async (client: Client, work: () => Promise<void>): Promise<void> => {
  await client.query('begin');
  try {
    await work();
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
};

const sinkSetting = (url: string): string => {
  const secret = `whsec_${Buffer.alloc(32, 'orgtrail').toString('base64')}`;
  return JSON.stringify({ siem: { type: 'webhook', url, secret } });
};

const stopAll = async (replicas: readonly OrgtrailProcess[]): Promise<void> => {
  for (const { child } of replicas) child.kill('SIGTERM');
  await Promise.all(replicas.map(({ ended }) => ended));
};

const startReceiver = async (stack: AsyncDisposableStack) => {
  let mode: ReceiverMode = 'open';
  const answer = (body: string): number => {
    if (mode === 'open') return 204;
    return mode === 'away' ? 503 : body.includes(mode.refuses) ? 400 : 204;
  };
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => {
      body += text;
    });
    request.on('end', () => response.writeHead(answer(body)).end());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  stack.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  const set = (next: ReceiverMode) => {
    mode = next;
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, set };
};

/** One entry at each call, in all organizations by turns. */
const nextEntry = (simulator: Simulator): (() => void) => {
  const ids = simulator.summary().organizations.map(({ id }) => id);
  let made = 0;
  return () => {
    const id = ids[made % ids.length];
    if (id !== undefined) simulator.generate(id, 1);
    made += 1;
  };
};

/** A database of this world alone, dropped at its end, and a connection to it. */
const createDatabase = async (serverUrl: string, stack: AsyncDisposableStack) => {
  const name = `orgtrail_alerts_${randomBytes(6).toString('hex')}`;
  const admin = async (statement: string) => {
    const client = new Client({ connectionString: serverUrl });
    await client.connect();
    await client.query(statement).finally(() => client.end());
  };
  await admin(`create database ${name}`);
  stack.defer(() => admin(`drop database ${name} with (force)`));
  const url = withDatabase(serverUrl, name);
  const client = new Client({ connectionString: url });
  await client.connect();
  stack.defer(() => client.end());
  return { url, client };
};
