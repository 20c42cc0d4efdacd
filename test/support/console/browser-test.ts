import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base } from 'vitest';
import { openExplorerConsole } from '../search/search-fixture.ts';
import { launchChromium } from './chromium.ts';
import { openConsole } from './console-fixture.ts';

/** Of all files: one Chromium, a world of searches, and one of the pages of operation. Each file says what it puts there. */
export const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('chromium', { scope: 'worker' }, async ({}, { onCleanup }) => {
    const chromium = await launchChromium();
    onCleanup(() => chromium.close());
    return chromium;
  })
  .extend('explorer', { scope: 'worker' }, async ({ chromium }, { onCleanup }) => {
    const explorer = await openExplorerConsole(chromium);
    onCleanup(() => explorer[Symbol.asyncDispose]());
    return explorer;
  })
  .extend('operation', { scope: 'worker' }, async ({ chromium }, { onCleanup }) => {
    const folder = await mkdtemp(join(tmpdir(), 'orgtrail-test-console-'));
    const operation = await openConsole(chromium, {
      simulator: { entries: 200 },
      roles: ['orgtrail_ingest', 'orgtrail_evidence', 'orgtrail_reader'],
      env: {
        ORGTRAIL_ARCHIVE: `file://${folder}/archive`,
        ORGTRAIL_RETENTION: '3650d',
        ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence',
        ORGTRAIL_SCRUB_SHARE: '0',
        ORGTRAIL_SINKS: JSON.stringify({
          disk: { type: 'file', path: join(folder, 'events.ndjson') },
          siem: { type: 'http', url: 'http://127.0.0.1:9/ingest' },
        }),
      },
    });
    onCleanup(async () => {
      await operation[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    });
    return { ...operation, archive: `file://${folder}/archive` };
  });
