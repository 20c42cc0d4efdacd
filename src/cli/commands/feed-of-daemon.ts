import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { showStatus } from '../../app/status-operation.ts';
import { OrgtrailError, reasonOf } from '../../base/errors.ts';
import { printable } from '../../base/text.ts';
import { type Copies, type FeedCursor, lastLine, type Presented, readFeedCursor } from '../../feed/feed.ts';
import type { FormatName } from '../../formats/registry.ts';
import type { CliContext, Given } from '../command.ts';
import { type Daemon, explainForeign, explainUnreachable, GoneError, send } from '../daemon.ts';
import { askDaemon } from '../operation-command.ts';
import { written } from '../output/terminal.ts';

/** Of one answer. */
const MAX_EVENTS = 10_000;
const WAIT_SECONDS = '60';
const RETRY_AFTER_MS = 2_000;

export type FeedOptions = Given<'cursor' | 'feedId' | 'check' | 'url' | 'tokenFile', 'follow' | 'lastLine'> &
  Readonly<Partial<Record<'after' | 'limit' | 'dropped', number>>> &
  Readonly<{ format: FormatName; copies: Copies; organization?: readonly string[]; account?: readonly string[] }>;

/** The same lines as from the database, answer after answer. With --follow it goes on behind the last whole line of one that is cut off. */
export const writeFeedOf = async (
  daemon: Daemon,
  options: FeedOptions & { readonly place: Presented },
  context: CliContext,
): Promise<void> => {
  const { signal, stdout, stderr } = context;
  const organization = await idsOf(daemon, 'organization', options.organization, signal);
  const account = await idsOf(daemon, 'account', options.account, signal);
  const aborted = once(signal, 'abort');
  const follows = options.follow === true;
  const reader: Reader = { place: placeParameters(options.place), left: options.limit ?? Infinity, printed: 0 };
  const warn = (words: string) => stderr.write(`orgtrail: ${words}\n`);
  for (let isAtEnd = false; !signal.aborted && reader.left > 0 && (follows || !isAtEnd); ) {
    try {
      isAtEnd = await readAnswer(daemon, { ...options, organization, account }, reader, {
        ...context,
        aborted,
        waits: isAtEnd,
      });
    } catch (error) {
      if (signal.aborted) break;
      if (error instanceof GoneError && error.months.length === 0) {
        // What a failover lost comes again.
        warn(error.message);
        reader.place = { cursor: error.nextCursor };
      } else if (follows && error instanceof OrgtrailError && error.code === 'daemon_unreachable') {
        warn(`no answer, trying again: ${reasonOf(error)}`);
        await sleep(RETRY_AFTER_MS, undefined, { signal }).catch(() => {});
      } else throw error;
    }
  }
  if (options.lastLine !== true || reader.cursor === undefined) return;
  const [size, root] = (reader.evidence ?? '').split(' ');
  const signed = root === undefined ? undefined : { size: Number(size), root: Buffer.from(root, 'base64') };
  stdout.write(lastLine(reader.cursor, signed));
};

interface Reader {
  /** Parameters of the place that is asked from. */
  place: Readonly<Record<string, string>>;
  /** Lines to print. */
  left: number;
  /** Lines from this place on that were printed of an answer that was cut off. */
  printed: number;
  /** All before it was printed. */
  cursor?: FeedCursor;
  evidence?: string | null;
}

const placeParameters = ({ after, feedId, check, dropped }: Presented): Readonly<Record<string, string>> => ({
  after: String(after),
  ...(feedId !== undefined && { feed_id: feedId }),
  ...(check !== undefined && { check }),
  ...(dropped !== undefined && { dropped: String(dropped) }),
});

type Kind = 'organization' | 'account';
type Chosen = Pick<FeedOptions, 'copies' | 'format'> & Readonly<Record<Kind, readonly string[]>>;

/** As the daemon knows them. */
const idsOf = async (daemon: Daemon, kind: Kind, names: readonly string[] = [], signal: AbortSignal) => {
  const ids: string[] = [];
  for (const name of names) {
    const body = await askDaemon(daemon, showStatus, { [kind]: [name] }, signal);
    const { sources } = explainForeign(daemon, () => named.parse(body));
    const found = sources.find(({ accountId }) => (accountId === undefined) === (kind === 'organization'))?.[
      `${kind}Id`
    ];
    if (found == null) throw new OrgtrailError('usage', `${printable(name, 80)}: its log is not collected`);
    ids.push(found);
  }
  return ids;
};

const named = z.object({
  sources: z.array(z.object({ organizationId: z.string().nullish(), accountId: z.string().optional() })),
});

/** Whether it has the end of the feed. */
const readAnswer = async (
  daemon: Daemon,
  { organization, account, copies, format, place }: Chosen & { readonly place: Presented },
  reader: Reader,
  { stdout, signal, aborted, waits }: CliContext & { readonly aborted: Promise<unknown>; readonly waits: boolean },
): Promise<boolean> => {
  const limit = String(Math.min(MAX_EVENTS, reader.left + reader.printed));
  const query = new URLSearchParams({ ...reader.place, limit, copies, format, ...(waits && { wait: WAIT_SECONDS }) });
  for (const id of organization) query.append('organization', id);
  for (const id of account) query.append('account', id);
  return await explainUnreachable(daemon, async () => {
    const { headers, body } = await send(daemon, `/v1/events?${query}`, signal);
    const next = headers.get('orgtrail-next-cursor') ?? '';
    const cursor = explainForeign(daemon, () => requireCursor(next));
    reader.cursor ??= { position: place.after, feedId: cursor.feedId, check: place.check, dropped: place.dropped ?? 0 };
    reader.evidence = headers.get('orgtrail-evidence');
    for await (const lines of wholeLines(body ?? [], reader.printed)) {
      if (signal.aborted) return false;
      await Promise.race([written(stdout, lines), aborted]);
      const count = lines.reduce((sum, byte) => sum + (byte === NEWLINE ? 1 : 0), 0);
      reader.printed += count;
      reader.left -= count;
    }
    Object.assign(reader, { place: { cursor: next }, printed: 0, cursor });
    return Number(headers.get('orgtrail-head-position')) <= cursor.position;
  });
};

const requireCursor = (text: string): FeedCursor => {
  const cursor = readFeedCursor(text);
  if (cursor === undefined) throw new Error('its cursor is none');
  return cursor;
};

const NEWLINE = 10;

/** All but the first `skip`. The beginning of a line whose end does not come is left out. */
async function* wholeLines(
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  skip: number,
): AsyncGenerator<Uint8Array, void, void> {
  let pending: Uint8Array[] = [];
  let left = skip;
  for await (const chunk of body) {
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    if (end === 0) {
      pending.push(chunk);
      continue;
    }
    let lines = Buffer.concat([...pending, chunk.subarray(0, end)]);
    pending = [chunk.subarray(end)];
    for (; left > 0 && lines.length > 0; left -= 1) lines = lines.subarray(lines.indexOf(NEWLINE) + 1);
    if (lines.length > 0) yield lines;
  }
}
