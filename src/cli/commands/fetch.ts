import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { type Config, loadConfig } from '../../app/config/config.ts';
import { ApiError, OrgtrailError } from '../../base/errors.ts';
import { version } from '../../base/package-files.ts';
import { fetchAuditPage } from '../../ingest/cloudflare/audit-api.ts';
import { type CloudflareClient, createCloudflareClient } from '../../ingest/cloudflare/client.ts';
import { type ApiText, createServerClock, type RequestBudget } from '../../ingest/cloudflare/wire/request.ts';
import { UnreadablePageError } from '../../ingest/entries/page.ts';
import type { SourceKey } from '../../ingest/planning/source.ts';
import { kindOf } from '../../ingest/sources/registry.ts';
import type { CliContext } from '../command.ts';
import { collect } from '../evidence/lifecycle.ts';

const help = `
Asks Cloudflare for all that a log has of a day, in UTC, and prints its answers as they came, one behind the other. An auditor does this with a
credential of their own, and compares: \`orgtrail evidence sample\` draws the days, \`orgtrail evidence verify DIR --compare FILE\` says what is
missing on either side. Needs no database. With several credentials in the settings, the first one is used; ORGTRAIL_FILTERS count as they do for
the daemon.

Examples:
  $ CLOUDFLARE_API_TOKEN=... orgtrail fetch --organization 1f2e3d4c5b6a --day 2026-03-04 > FILE
  $ orgtrail fetch --account 023e105f4ecef8ad --day 2026-03-04 --day 2026-03-05 >> FILE`;

interface FetchOptions {
  readonly organization?: string;
  readonly account?: string;
  readonly day: readonly string[];
}

export const fetchCommand = (context: CliContext): Command =>
  new Command('fetch')
    .description('Print what Cloudflare has of some days of a log, to compare')
    .option('--organization <id>', 'the log of this organization')
    .option('--account <id>', 'the log of this account')
    .requiredOption('--day <date>', 'such as 2026-03-04, in UTC; may be repeated', collect, [])
    .addHelpText('after', help)
    .action(async ({ organization, account, day: days }: FetchOptions) => {
      const id = organization ?? account;
      if (id === undefined || (organization !== undefined && account !== undefined))
        throw new OrgtrailError('usage', 'which log? give --organization or --account, and its id');
      const source: SourceKey = { kind: organization === undefined ? 'account' : 'organization', id };
      const starts = days.map(startOf);
      const config = loadConfig(context.env, { needsCredential: true, interactive: context.interactive });
      const client = connect(config);
      try {
        for (const startMs of starts)
          for await (const text of answersOf(client, source, startMs, config, context.signal))
            context.stdout.write(`${text}\n`);
      } finally {
        await client.close();
      }
    });

const DAY_MS = 86_400_000;
/** What the API gives at once. */
const PAGE_LIMIT = 1_000;

const startOf = (day: string): number => {
  const startMs = Date.parse(`${day}T00:00:00Z`);
  if (/^\d{4}-\d{2}-\d{2}$/.test(day) && !Number.isNaN(startMs) && new Date(startMs).toISOString().startsWith(day))
    return startMs;
  throw new OrgtrailError('usage', `${JSON.stringify(day)} is no day: give one like 2026-03-04`);
};

async function* answersOf(
  client: CloudflareClient,
  source: SourceKey,
  since: number,
  { filters }: Config,
  signal: AbortSignal,
): AsyncGenerator<string, void, void> {
  const kind = kindOf(source);
  for (let cursor: string | undefined; ; ) {
    const { text, next }: Answer = await fetchAuditPage(client, {
      source,
      since,
      before: since + DAY_MS,
      cursor,
      limit: PAGE_LIMIT,
      direction: 'asc',
      filters: filters[kind.name],
      signal,
      decode: (answer) => answerOf(source, answer),
    });
    yield text;
    if (next === undefined) return;
    if (next === cursor) throw new ApiError('unreadable', 'the answer names itself as its next page');
    cursor = next;
  }
}

interface Answer {
  readonly text: string;
  /** Undefined: it is the last one. */
  readonly next: string | undefined;
}

const answerOf = (source: SourceKey, answer: ApiText): Answer => {
  try {
    const { text } = answer;
    const page = kindOf(source).readPage(answer, { fastPath: false });
    return { text, next: page.nextCursor };
  } catch (error) {
    if (error instanceof UnreadablePageError) throw new ApiError('unreadable', error.message);
    throw error;
  }
};

const connect = ({ baseUrl, credentials }: Config): CloudflareClient => {
  const [first] = credentials;
  if (first === undefined) throw new Error('a credential is configured');
  return createCloudflareClient({
    baseUrl,
    credential: first.credential,
    budget: ownBudget(),
    clock: createServerClock(() => performance.now()),
    userAgent: `orgtrail/${version}`,
  });
};

/** Of this process alone: without a database it is shared with nothing. */
const ownBudget = (): RequestBudget => {
  let untilMs = 0;
  return {
    acquire: async (signal) => {
      const waitMs = untilMs - performance.now();
      if (waitMs > 0) await sleep(waitMs, undefined, { signal });
    },
    pause: async (durationMs) => {
      untilMs = Math.max(untilMs, performance.now() + durationMs);
    },
  };
};
