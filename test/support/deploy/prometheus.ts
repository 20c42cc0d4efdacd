import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** A real Prometheus that scrapes one daemon and evaluates the rules of deploy/prometheus. */
export interface Prometheus extends AsyncDisposable {
  /** Names of the alerts that fire now, and that it has seen the daemon (`up` is 1). */
  look(): Promise<{ readonly firing: readonly string[]; readonly up: boolean }>;
  /** Every alert that fires now, with what it says. */
  alerts(): Promise<readonly FiringAlert[]>;
  /** Of every rule that has been evaluated: its name and `ok`, or what is wrong with it. */
  ruleHealth(): Promise<readonly (readonly [name: string, health: string])[]>;
  /** The value of each series that the expression gives now, by its label `sink`; `''` where it has none. */
  query(expression: string): Promise<ReadonlyMap<string, number>>;
}

interface FiringAlert {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly summary: string;
}

const rules = fileURLToPath(new URL('../../../deploy/prometheus/rules.yml', import.meta.url));
const PROGRAM = 'prometheus';
/** As in Prometheus' own example configuration. */
const INTERVAL = '15s';
const START_TIMEOUT_MS = 60_000;

/** Undefined where the program `prometheus` is not installed. Keeps its data in `directory`. */
export const startPrometheus = async (
  daemonUrls: string | readonly string[],
  directory: string,
  interval = INTERVAL,
  ruleFile = rules,
): Promise<Prometheus | undefined> => {
  const port = await freePort();
  const configFile = join(directory, 'prometheus.yml');
  await writeFile(configFile, configuration([daemonUrls].flat(), interval, ruleFile));
  const child = spawn(
    PROGRAM,
    [
      `--config.file=${configFile}`,
      `--storage.tsdb.path=${join(directory, 'prometheus')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=error',
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  try {
    await once(child, 'spawn');
  } catch {
    return undefined;
  }
  const ended = once(child, 'exit');
  const base = `http://127.0.0.1:${port}`;
  await untilReady(`${base}/-/ready`, ended);
  return {
    look: async () => {
      const [alerts, up] = await Promise.all([
        getData(`${base}/api/v1/alerts`),
        getData(`${base}/api/v1/query?query=up`),
      ]);
      const firing = firingIn(alerts);
      const { result } = up as QueryResult;
      return {
        firing: [...new Set(firing.map(({ labels }) => labels['alertname'] ?? ''))].sort(),
        up: result.length > 0 && result.every(({ value }) => value[1] === '1'),
      };
    },
    alerts: async () =>
      firingIn(await getData(`${base}/api/v1/alerts`)).map(({ labels, annotations }) => ({
        name: labels['alertname'] ?? '',
        labels,
        summary: annotations['summary'] ?? '',
      })),
    ruleHealth: async () => {
      const { groups } = (await getData(`${base}/api/v1/rules`)) as RuleGroups;
      return groups.flatMap(({ rules }) =>
        rules.map(({ name, health, lastError = '' }) => [name, `${health} ${lastError}`.trim()] as const),
      );
    },
    query: async (expression) => {
      const { result } = (await getData(`${base}/api/v1/query?query=${encodeURIComponent(expression)}`)) as QueryResult;
      return new Map(result.map(({ metric, value }) => [metric.sink ?? '', Number(value[1])]));
    },
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
};

interface Alerts {
  readonly alerts: readonly {
    readonly state: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  }[];
}

interface RuleGroups {
  readonly groups: readonly {
    readonly rules: readonly { readonly name: string; readonly health: string; readonly lastError?: string }[];
  }[];
}

const firingIn = (data: unknown): Alerts['alerts'] => (data as Alerts).alerts.filter(({ state }) => state === 'firing');

interface QueryResult {
  readonly result: readonly {
    readonly metric: { readonly sink?: string };
    readonly value: readonly [number, string];
  }[];
}

const configuration = (daemonUrls: readonly string[], interval: string, ruleFile: string): string => `
global: { scrape_interval: ${interval}, evaluation_interval: ${interval} }
rule_files: ['${ruleFile}']
scrape_configs:
  - job_name: orgtrail
    static_configs: [{ targets: ${JSON.stringify(daemonUrls.map((url) => new URL(url).host))} }]
`;

const getData = async (url: string): Promise<unknown> => {
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
  return ((await response.json()) as { data: unknown }).data;
};

const untilReady = async (url: string, ended: Promise<unknown>): Promise<void> => {
  const giveUpAt = performance.now() + START_TIMEOUT_MS;
  let over = false;
  ended.then(() => {
    over = true;
  });
  for (;;) {
    const ready = await fetch(url).then(
      (response) => response.ok,
      () => false,
    );
    if (ready) return;
    if (over || performance.now() > giveUpAt) throw new Error('Prometheus did not start');
    await sleep(200);
  }
};

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
};
