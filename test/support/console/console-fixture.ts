import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { expect } from 'vitest';
import type { Simulator } from '../../../src/simulator/interface.ts';
import type { SimulatorOptions } from '../../../src/simulator/options.ts';
import { createLogin } from '../accounts/login.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/database.ts';
import { until } from '../process/until.ts';
import { type ConsoleDaemon, startConsoleDaemon } from './console-daemon.ts';

/** What a page did that no page of the console may do. */
export interface PageFaults {
  /** Requests to somewhere else. */
  readonly foreignRequests: readonly string[];
  /** Errors of scripts and of the console of the browser: breaches of the policy (CSP) are among them. */
  readonly errors: readonly string[];
  /** Dialogs that a script opened. */
  readonly dialogs: readonly string[];
}

/** A page in a browser of its own context (cookies), and what it did wrong so far. */
interface WatchedPage {
  readonly page: Page;
  readonly faults: PageFaults;
}

/** A real daemon over a simulated Cloudflare on a test database, and a real Chromium in front of it. */
export interface ConsoleFixture extends AsyncDisposable {
  /** The first page, at the overview. */
  readonly page: Page;
  readonly faults: PageFaults;
  /** Without a slash at the end. */
  readonly url: string;
  readonly simulator: Simulator;
  readonly database: TestDatabase;
  readonly daemon: ConsoleDaemon['daemon'];
  /** Another one, with cookies of its own; at no address yet. */
  newPage(options?: BrowserContextOptions): Promise<WatchedPage>;
  /** Resolves once everything that the simulator shows is stored. */
  untilStored(): Promise<void>;
}

/** Ends only a wait for what does not come, also on a machine with very much else to do. */
const PATIENCE_MS = 300_000;

interface ConsoleOptions {
  readonly simulator?: SimulatorOptions;
  readonly env?: Readonly<Record<string, string>>;
  /** Of the account of the daemon, if not that of a collector alone. */
  readonly roles?: readonly string[];
}

/** Resolves once all events are stored. */
export const openConsole = async (browser: Browser, options: ConsoleOptions = {}): Promise<ConsoleFixture> => {
  const database = await createTestDatabase();
  const login = options.roles && (await createLogin(database, options.roles));
  const accountUrl = login?.url ?? database.daemonUrl;
  const running = await startConsoleDaemon({ DATABASE_URL: accountUrl, ...options.env }, options.simulator);
  const { url, simulator, daemon } = running;
  const untilStored = () =>
    until('all that the simulator shows is stored', async () => {
      const expected = [...simulator.truth()].length;
      const { rows } = await database.pool.query('select count(*)::integer as stored from audit_events');
      return rows[0].stored >= expected;
    });
  await untilStored();
  const contexts: BrowserContext[] = [];
  const newPage = async (context: BrowserContextOptions = {}) => {
    const watched = await watchedPage(browser, url, context);
    contexts.push(watched.page.context());
    return watched;
  };
  const { page, faults } = await newPage();
  await page.goto(`${url}/`);
  return {
    page,
    faults,
    url,
    simulator,
    database,
    daemon,
    newPage,
    untilStored,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(contexts.map((context) => context.close()));
      await running[Symbol.asyncDispose]();
      await login?.[Symbol.asyncDispose]();
      await database.close();
    },
  };
};

const watchedPage = async (browser: Browser, url: string, options: BrowserContextOptions): Promise<WatchedPage> => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const goto = page.goto.bind(page);
  page.goto = async (...to) => {
    // On a busy machine a page may say that a read took too long, and to try again.
    for (;;) {
      const answer = await goto(...to);
      if (answer?.status() !== 503) return answer;
    }
  };
  const faults = { foreignRequests: [] as string[], errors: [] as string[], dialogs: [] as string[] };
  context.on('request', (request) => {
    if (new URL(request.url()).origin !== url) faults.foreignRequests.push(request.url());
  });
  page.on('pageerror', (error) => faults.errors.push(String(error)));
  page.on('console', (message) => {
    // A status code of ours, such as that of a wrong token, is no fault of the page.
    if (message.type() === 'error' && !/^Failed to load resource/.test(message.text())) {
      faults.errors.push(message.text());
    }
  });
  page.on('dialog', (dialog) => {
    faults.dialogs.push(dialog.message());
    void dialog.dismiss();
  });
  return { page, faults };
};

/** Nothing went elsewhere, no script failed or was refused, nothing asked anything. */
export const expectNoFaults = (faults: PageFaults): void =>
  expect(faults).toEqual({ foreignRequests: [], errors: [], dialogs: [] });
