import { z } from 'zod';
import { OrgtrailError } from '../../base/errors.ts';
import { instant, operation, text } from '../../base/operation.ts';
import { counted, printable } from '../../base/text.ts';
import { parseDurationMs } from '../../base/time.ts';
import { giveOrder, type OperationSource } from '../../postgres/access/access-log.sql.ts';
import { readCatalogue, requireNoRestore } from '../catalogue.sql.ts';
import { countThawed, readThaw, type Thaw } from './thaws.sql.ts';

/** Of a table with its indexes, for an event. As much again is the write-ahead log meanwhile. */
const STORED_BYTES = 2_400;
const GIGABYTE = 1_000_000_000;
const LONGEST_MS = 366 * 86_400_000;

export const thaw = z.object({
  id: z.number(),
  month: z.string().describe('Such as 2024-01.'),
  state: z
    .string()
    .describe('asked; thawed: it is in the database; ended; failed: it is in the archive alone as before.'),
  endsAt: instant.describe('From then on it leaves the database again.'),
  events: z.number(),
  copied: z.number().describe('Of these, how far it is.'),
  error: z.string().nullable().describe('Why it failed, or why it is still there behind its end.'),
  reason: z.string().nullable(),
  askedBy: z.string().nullable().describe('As the one who asked said.'),
  askedAs: z.string().describe('The account of the database.'),
  askedAt: instant,
  thawedAt: instant.nullable(),
  endedAt: instant.nullable(),
});

interface ThawSource extends OperationSource {
  readonly config: { readonly thawMaxBytes: number };
}

export const orderThaw = operation({
  name: 'archive thaw',
  says: 'Bring an archived month back into the database for a while',
  path: '/v1/archive/:month/thaw',
  tool: 'thaw_month',
  needs: { scope: 'manage' },
  help: `
A daemon that has the archive does it: the month is one like any other then, with the same positions, for
searches, counts, detections, the feed and evidence. \`orgtrail archive list\` shows how far it is. At the end of its time it leaves the database
again, unless a hold or a sink needs it. Asked for again, it stays for that long from now on; --for 0s ends it.

Examples:
  $ orgtrail archive thaw 2024-03
  $ orgtrail archive thaw 2024-03 --for 30d --reason 'case 2026-17' --by 'J. Doe, Legal'
  $ orgtrail archive thaw 2024-03 --for 0s`,
  input: z.strictObject({
    month: z
      .string('must be a month such as 2024-01')
      .regex(/^\d{4}-(0[1-9]|1[0-2])$/, 'must be a month such as 2024-01')
      .describe('such as 2024-01'),
    for: z
      .string('must be given once')
      .refine(
        (given) => (parseDurationMs(given) ?? LONGEST_MS + 1) <= LONGEST_MS,
        'must be a duration of at most 366d such as 7d',
      )
      .default('7d')
      .describe('how long it stays'),
    reason: text('reason, for the record', 2_000),
    by: text('who asks for it, for the record', 200),
  }),
  output: thaw,
  values: { for: 'duration', reason: 'text', by: 'name' },
  run: async (source: ThawSource, { month, for: wanted, reason, by }) => {
    const { pool, config } = source;
    await requireNoRestore(pool);
    const forMs = parseDurationMs(wanted) ?? 0;
    if (forMs > 0) await requireRoom(source, month, config.thawMaxBytes);
    const given = { month, for: `${forMs} milliseconds`, reason, by };
    const ordered = await giveOrder<{ readonly id: number }>(source, 'archive thaw', given);
    const made = ordered && (await readThaw(pool, ordered.id));
    if (made !== undefined) return made;
    const what = forMs > 0 ? `nothing of ${month} is in the archive alone` : `${month} is not thawed`;
    throw new OrgtrailError('usage', what, { hint: '`orgtrail archive list` shows what there is, and where' });
  },
  show: (made) => describe(made),
});

/** The free disk of the server cannot be asked for. */
const requireRoom = async ({ pool }: OperationSource, month: string, mostBytes: number): Promise<void> => {
  const objects = (await readCatalogue(pool, month)).filter(
    ({ kind, droppedAt }) => kind === 'events' && droppedAt !== null,
  );
  if (objects.length === 0) return;
  const events = objects.reduce((sum, object) => sum + object.events, await countThawed(pool, month));
  const bytes = 2 * STORED_BYTES * events;
  if (bytes <= mostBytes) return;
  const inGigabytes = (count: number) => `${(count / GIGABYTE).toLocaleString('en', { maximumFractionDigits: 1 })} GB`;
  throw new OrgtrailError(
    'usage',
    `${month} would take about ${inGigabytes(bytes)} of the disk of PostgreSQL, with what is thawed already and the write-ahead log; ORGTRAIL_THAW_MAX_GB allows ${inGigabytes(mostBytes)}`,
    { hint: 'raise ORGTRAIL_THAW_MAX_GB if the disk has that much, or ask the archive itself: orgtrail query' },
  );
};

const describe = ({ month, state, endsAt, events, copied, error }: Thaw): string => {
  const until = endsAt.toISOString();
  if (endsAt.getTime() <= Date.now()) return `${month} leaves the database again\n`;
  if (state === 'thawed') return `${month} is in the database until ${until}: ${counted(events, 'event')}\n`;
  const trouble = error === null ? '' : `: ${printable(error, 200)}`;
  const far = copied === 0 ? '' : `, ${copied.toLocaleString('en')} copied`;
  return `${month} comes back, until ${until}: ${counted(events, 'event')}${far}${trouble}; \`orgtrail archive list\` shows how far it is\n`;
};

export const thawRow = (shown: Thaw): readonly string[] => [
  shown.month,
  shown.state === 'asked' ? `${Math.floor((100 * shown.copied) / shown.events)}% copied` : shown.state,
  shown.events.toLocaleString('en'),
  shown.endedAt === null ? `until ${shown.endsAt.toISOString()}` : `ended ${shown.endedAt.toISOString()}`,
  printable(shown.askedBy ?? shown.askedAs, 32),
  printable(shown.error ?? shown.reason ?? '-', 120),
];
