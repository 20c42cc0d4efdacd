import process from 'node:process';
import { loadConfig } from '../../../src/app/config/config.ts';
import { type App, openApp } from '../../../src/app/open-app.ts';
import { createLogger } from '../../../src/app/telemetry/log.ts';
import { createMetrics } from '../../../src/app/telemetry/metrics.ts';
import { version } from '../../../src/base/package-files.ts';
import { syncOnce } from '../../../src/ingest/sync/sync-once.ts';
import type { Contender } from './contender.ts';

/** The whole of `orgtrail sync` but for the start and the end of its process: listing, profiles, walks, commits. */
export const orgtrailContender = (): Contender => {
  let app: App | undefined;
  let seen = 0;
  let opened = '';
  return {
    prepare: async ({ databaseUrl, baseUrl, concurrency }) => {
      // A daemon is not restarted for every cycle: its code and its connections are warm, as those of all contenders are.
      if (opened === `${databaseUrl} ${baseUrl}`) return;
      await app?.close();
      opened = `${databaseUrl} ${baseUrl}`;
      const env = {
        CLOUDFLARE_API_TOKEN: 'token-of-the-benchmark',
        CLOUDFLARE_BASE_URL: baseUrl,
        DATABASE_URL: databaseUrl,
        ORGTRAIL_API_BUDGET: '1000000000',
        ORGTRAIL_CONCURRENCY: String(concurrency),
        ORGTRAIL_LOG_LEVEL: 'warn',
      };
      const config = loadConfig(env, { needsCredential: true, interactive: false });
      app = await openApp(config, {
        logger: createLogger({ ...config.log, destination: process.stderr, secrets: [] }),
        metrics: createMetrics(version),
        observer: {
          pageCommitted: ({ entries }) => {
            seen += entries;
          },
        },
      });
    },
    run: async () => {
      if (app === undefined) throw new Error('not prepared');
      seen = 0;
      const signal = new AbortController().signal;
      const report = await syncOnce(app.sync, { signal, stopping: () => false, retries: 0 });
      if (report.failed.length > 0) throw new Error(`${report.failed.length} organizations failed`);
      return seen;
    },
    close: async () => void (await app?.close()),
  };
};
