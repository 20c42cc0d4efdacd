import { createHash, type Hash } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { showStatus } from '../../app/status-operation.ts';
import { OrgtrailError, reasonOf } from '../../base/errors.ts';
import { printable } from '../../base/text.ts';
import { type Copies, type FeedCursor, lastLine, type Presented, readFeedCursor } from '../../feed/feed.ts';
import type { FormatName } from '../../formats/registry.ts';
import type { CliContext, Given } from '../command.ts';
import { type Daemon, explainForeign, explainUnreachable, GoneError, send, unreachable } from '../daemon.ts';
import { askDaemon } from '../operation-command.ts';
import { written } from '../output/terminal.ts';

/** Of one answer. */
const MAX_EVENTS = 10_000;
const WAIT_SECONDS = '60';
const RETRY_AFTER_MS = 1_000;
const LAST_ANSWER_MS = 5_000;

export type FeedOptions = Given<'cursor' | 'feedId' | 'check' | 'url' | 'tokenFile', 'follow' | 'lastLine'> &
  Readonly<Partial<Record<'after' | 'limit' | 'dropped', number>>> &
  Readonly<{ format: FormatName; copies: Copies; organization?: readonly string[]; account?: readonly string[] }>;

/**
 * The same lines as from the database, answer after answer. With --follow it goes on behind the last whole line of one that is cut off, if what was
 * printed of it comes again as it was; else it prints it again.
 */
export const writeFeedOf = async (
  daemon: Daemon,
  options: FeedOptions & { readonly place: Presented },
  context: CliContext,
): Promise<void> => {
  const { signal, stdout, stderr } = context;
  const organization = await idsOf(daemon, 'organization', options.organization, signal);
  const account = await idsOf(daemon, 'account', options.account, signal);
  const chosen = { ...options, organization, account };
  const follows = options.follow === true;
  const place = placeParameters(options.place);
  const reader: Reader = { place, left: options.limit ?? Infinity, printed: 0, hash: createHash('sha256') };
  const aborted = once(signal, 'abort');
  const warn = (words: string) => stderr.write(`orgtrail: ${words}\n`);
  for (let isAtEnd = false; !signal.aborted && reader.left > 0 && (follows || !isAtEnd); ) {
    try {
      isAtEnd = await readAnswer(daemon, chosen, reader, { stdout, signal, aborted, waits: isAtEnd });
    } catch (error) {
      if (signal.aborted) break;
      if (error instanceof GoneError && error.months.length === 0) {
        // What a failover lost comes again.
        warn(error.message);
        goTo(reader, { cursor: error.nextCursor });
      } else if (follows && error instanceof OrgtrailError && error.code === 'daemon_unreachable') {
        warn(`no answer, trying again: ${reasonOf(error)}`);
        await sleep(RETRY_AFTER_MS, undefined, { signal }).catch(() => {});
      } else throw error;
    }
  }
  if (options.lastLine !== true) return;
  // The place behind what was printed of an answer that was not read to its end.
  reader.left = 0;
  const timeLimit = AbortSignal.timeout(LAST_ANSWER_MS);
  const last = { stdout, signal: timeLimit, aborted: once(timeLimit, 'abort'), waits: false };
  if (reader.printed > 0) await readAnswer(daemon, chosen, reader, last).catch(() => {});
  if (reader.cursor === undefined) return;
  const [size, root] = (reader.evidence ?? '').split(' ');
  const signed = root === undefined ? undefined : { size: Number(size), root: Buffer.from(root, 'base64') };
  stdout.write(lastLine(reader.cursor, signed));
};

interface Reader {
  /** Parameters of the place that is asked from. */
  place: Readonly<Record<string, string>>;
  /** Lines to print. */
  left: number;
  /** Lines from this place on that were printed of an answer that was cut off, and their hash. */
  printed: number;
  hash: Hash;
  /** All before it was printed. */
  cursor?: FeedCursor;
  evidence?: string | null;
}

const goTo = (reader: Reader, place: Reader['place']): void => {
  Object.assign(reader, { place, printed: 0, hash: createHash('sha256') });
};

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
    if (/^[0-9a-f]{32}$/i.test(name)) {
      ids.push(name.toLowerCase());
      continue;
    }
    const body = await askDaemon(daemon, showStatus, { [kind]: [name] }, signal);
    const { sources } = explainForeign(daemon, () => named.parse(body));
    const found = sources.find(({ accountId }) => (accountId === undefined) === (kind === 'organization'))?.[
      `${kind}Id`
    ];
    if (found == null) {
      throw new OrgtrailError('usage', `the daemon does not collect the log of "${printable(name, 80)}"`, {
        hint: 'give its id',
      });
    }
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
  {
    stdout,
    signal,
    aborted,
    waits,
  }: Pick<CliContext, 'stdout' | 'signal'> & Readonly<{ aborted: Promise<unknown>; waits: boolean }>,
): Promise<boolean> => {
  const limit = String(Math.min(MAX_EVENTS, reader.left + reader.printed));
  const asked = { ...reader.place, limit, copies, format, last_line: 'true', ...(waits && { wait: WAIT_SECONDS }) };
  const query = new URLSearchParams(asked);
  for (const id of organization) query.append('organization', id);
  for (const id of account) query.append('account', id);
  return await explainUnreachable(daemon, async () => {
    const { headers, body } = await send(daemon, `/v1/events?${query}`, signal);
    const next = headers.get('orgtrail-next-cursor') ?? '';
    const cursor = explainForeign(daemon, () => requireCursor(next));
    const { feedId } = cursor;
    // A database that is another one meanwhile is refused from now on.
    if (reader.place['cursor'] === undefined) reader.place = { ...reader.place, feed_id: feedId };
    reader.cursor ??= { position: place.after, feedId, check: place.check, dropped: place.dropped ?? 0 };
    reader.evidence = headers.get('orgtrail-evidence');
    const again = { lines: reader.printed, hash: createHash('sha256') };
    for await (const lines of eventLines(daemon, body ?? [], next)) {
      const more = behindPrinted(daemon, reader, again, lines);
      if (more.length === 0) continue;
      if (signal.aborted) return false;
      await Promise.race([written(stdout, more), aborted]);
      const count = more.reduce((sum, byte) => sum + (byte === NEWLINE ? 1 : 0), 0);
      reader.hash.update(more);
      reader.printed += count;
      reader.left -= count;
    }
    if (again.lines > 0) throw changed(daemon, reader);
    goTo(reader, { cursor: next });
    reader.cursor = cursor;
    return Number(headers.get('orgtrail-head-position')) <= cursor.position;
  });
};

/** Without the lines that were printed before, if they are the same. */
const behindPrinted = (
  daemon: Daemon,
  reader: Reader,
  again: { lines: number; readonly hash: Hash },
  lines: Buffer,
): Buffer => {
  let more = lines;
  while (again.lines > 0 && more.length > 0) {
    const end = more.indexOf(NEWLINE) + 1;
    again.hash.update(more.subarray(0, end));
    more = more.subarray(end);
    again.lines -= 1;
    if (again.lines === 0 && again.hash.digest('hex') !== reader.hash.copy().digest('hex'))
      throw changed(daemon, reader);
  }
  return more;
};

const changed = (daemon: Daemon, reader: Reader): OrgtrailError => {
  goTo(reader, reader.place);
  return unreachable(
    daemon,
    'what was printed of an answer stands in another order now, and is printed again',
    undefined,
  );
};

const requireCursor = (text: string): FeedCursor => {
  const cursor = readFeedCursor(text);
  if (cursor === undefined) throw new Error('its cursor is none');
  return cursor;
};

const NEWLINE = 10;

/** In whole lines, without the last one, which proves that the answer is whole. */
async function* eventLines(
  daemon: Daemon,
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  next: string,
): AsyncGenerator<Buffer, void, void> {
  let pending: Uint8Array[] = [];
  for await (const chunk of body) {
    pending.push(chunk);
    if (!chunk.includes(NEWLINE)) continue;
    const all = Buffer.concat(pending);
    // The last line that is whole may be the end.
    const end = all.lastIndexOf(NEWLINE, all.lastIndexOf(NEWLINE) - 1) + 1;
    pending = [all.subarray(end)];
    if (end > 0) yield all.subarray(0, end);
  }
  const last = Buffer.concat(pending).toString();
  if (!last.endsWith('\n') || !last.includes(`"next_cursor":"${next}"`))
    throw unreachable(daemon, 'the answer was cut off', undefined);
}
