import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/**
 * Tests judge by progress, which ends them as soon as it is made. These limits end a test that has stopped, on a machine
 * that is thirty times slower than usual, too.
 */
const patient = { testTimeout: 900_000, hookTimeout: 600_000, expect: { poll: { timeout: 600_000 } } };

// How long each file took, for `npm run lab clock`.
const clock = process.env['TEST_CLOCK'];
const outputFile = clock === undefined ? undefined : join(clock, `${process.pid}.json`);

// A project is a folder, never a list of files: a new test file cannot be forgotten.
export default defineConfig({
  test: {
    teardownTimeout: 120_000,
    ...(outputFile !== undefined && { reporters: ['default', ['json', { outputFile }]] }),
    projects: [
      // Without isolation modules are loaded once a worker, which saves a quarter of the time: no test may rely on fresh ones, here
      // and in all others that say so.
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], isolate: false, ...patient, maxWorkers: 3 } },
      // What deploy/ and docs/ say, checked with the tools that read them.
      {
        test: {
          name: 'documents',
          include: ['test/{deploy,documents}/**/*.test.ts'],
          isolate: false,
          globalSetup: ['test/support/process/bundle.ts'],
          ...patient,
          maxWorkers: 3,
        },
      },
      {
        test: {
          name: 'simulation',
          include: ['test/simulation/**/*.test.ts'],
          testTimeout: 1_800_000,
          // Short-lived objects by the million: a small young generation would be collected all the time.
          execArgv: ['--max-semi-space-size=64'],
          // All cores, and after everything else: it waits for nothing.
          maxWorkers: '100%',
          sequence: { groupOrder: 3 },
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          isolate: false,
          globalSetup: ['test/support/process/bundle.ts', 'test/support/postgres/postgres-server.ts'],
          ...patient,
          // They wait for PostgreSQL and for receivers.
          maxWorkers: 3,
          // Pages and events by the thousand: with V8's small young generation a sixth of the time is garbage collection.
          execArgv: ['--max-semi-space-size=64'],
        },
      },
      // A few with real processes, for `npm test`.
      {
        test: {
          name: 'smoke',
          include: ['test/smoke/**/*.test.ts'],
          isolate: false,
          globalSetup: ['test/support/process/bundle.ts', 'test/support/postgres/postgres-server.ts'],
          ...patient,
          maxWorkers: 3,
        },
      },
      // As those of integration, but each file takes more than some seconds: not a part of `npm test`.
      {
        test: {
          name: 'long',
          include: ['test/long/**/*.test.ts'],
          isolate: false,
          globalSetup: ['test/support/process/bundle.ts', 'test/support/postgres/postgres-server.ts'],
          ...patient,
          maxWorkers: 3,
          execArgv: ['--max-semi-space-size=64'],
          sequence: { groupOrder: 6 },
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          isolate: false,
          globalSetup: ['test/support/process/bundle.ts', 'test/support/postgres/postgres-server.ts'],
          ...patient,
          // Half of their time they wait: for a lease, a tick, an answer. Not beside others, which would make it a long wait.
          maxWorkers: 3,
          // Leases, time-outs and receivers here have real seconds, which a busy machine may use up. rest.sh lists what was repeated.
          retry: 1,
          sequence: { groupOrder: 1 },
        },
      },
      {
        // Each file starts PostgreSQL servers of its own, to stop, crash and fill them. Not a part of `npm test`, whose time is
        // limited: `npx vitest run --project trouble`, and CI.
        test: {
          name: 'trouble',
          include: ['test/trouble/**/*.test.ts'],
          isolate: false,
          globalSetup: ['test/support/process/bundle.ts'],
          ...patient,
          // They mostly wait.
          maxWorkers: 3,
          retry: 1,
          sequence: { groupOrder: 2 },
        },
      },
      {
        // Not a part of `npm test`, whose time is limited: `npx vitest run --project sinks`, and CI.
        test: {
          name: 'sinks',
          include: ['test/sinks/**/*.test.ts'],
          globalSetup: ['test/support/process/bundle.ts'],
          ...patient,
          maxWorkers: 1,
          // If a receiver is slow to take one event alone, those behind it are tried first: out of order, as documented.
          retry: 1,
          sequence: { groupOrder: 4 },
        },
      },
      {
        // The console in a real Chromium: `bash scripts/browser-tests.sh`, and CI.
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          // One worker, whose browser and worlds all files share.
          isolate: false,
          globalSetup: ['test/support/process/bundle.ts', 'test/support/postgres/postgres-server.ts'],
          ...patient,
          maxWorkers: 1,
          sequence: { groupOrder: 5 },
        },
      },
    ],
  },
});
