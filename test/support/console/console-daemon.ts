import { Writable } from 'node:stream';
import { loadConfig } from '../../../src/app/config/config.ts';
import { type Daemon, startDaemon } from '../../../src/app/start-daemon.ts';
import { createLogger } from '../../../src/app/telemetry/log.ts';
import type { Simulator } from '../../../src/simulator/interface.ts';
import type { SimulatorOptions } from '../../../src/simulator/options.ts';
import { startSimulator } from '../../../src/simulator/simulator.ts';

/** A real daemon with its console, over a simulated Cloudflare. Leaving the scope stops both. */
export interface ConsoleDaemon extends AsyncDisposable {
  readonly url: string;
  readonly daemon: Daemon;
  readonly simulator: Simulator;
}

/**
 * Starts both: five organizations with a history of two days, a tick each second. `env` says where the database is
 * (DATABASE_URL or ORGTRAIL_DATA_DIR), and whatever else is to be set.
 */
export const startConsoleDaemon = async (
  env: Readonly<Record<string, string>>,
  options: SimulatorOptions = {},
): Promise<ConsoleDaemon> => {
  const simulator = await startSimulator({
    seed: 11,
    organizations: 5,
    entries: 500,
    budget: null,
    historyMs: 2 * 86_400_000,
    ...options,
  });
  const daemon = await startDaemonOver(simulator, env);
  return {
    url: daemon.httpUrl,
    daemon,
    simulator,
    [Symbol.asyncDispose]: async () => {
      await daemon.stop();
      await simulator.close();
    },
  };
};

/** The daemon alone. */
export const startDaemonOver = (simulator: Simulator, env: Readonly<Record<string, string>>): Promise<Daemon> => {
  const whole = {
    CLOUDFLARE_API_TOKEN: 'token-of-the-test',
    CLOUDFLARE_BASE_URL: simulator.baseUrl,
    ORGTRAIL_API_BUDGET: '1000000',
    ORGTRAIL_HISTORY: '3d',
    ORGTRAIL_SCHEDULE: '* * * * * *',
    ORGTRAIL_HTTP_PORT: '0',
    ...env,
  };
  const config = loadConfig(whole, { needsCredential: true, interactive: false });
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const logger = createLogger({ level: 'error', format: 'json', destination: nowhere, secrets: [] });
  return startDaemon(config, logger, {}, new AbortController().signal);
};
