import type { CommandCost } from './command-cost.ts';
import type { FeedReading } from './read-feed.ts';

/** What all rows of the table are of. */
export interface ArchiveFigures {
  readonly events: number;
  readonly rawBytes: number;
  /** Of a database that has all events, with indexes, and of one that has what was not dropped. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly archived: {
    readonly months: number;
    readonly events: number;
    readonly objects: number;
    readonly bytes: number;
  };
  readonly write: CommandCost;
  readonly verify: CommandCost;
  readonly restore: CommandCost & { readonly month: string; readonly events: number };
  readonly drop: CommandCost;
  /** All that was archived, as a thaw does it. */
  readonly into: CommandCost;
  readonly feed: FeedReading;
}

const whole = (value: number): string => Math.round(value).toLocaleString('en');
const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;

const rowOf = (what: string, events: number, cost: CommandCost): string => {
  const [process, postgres] = [cost.processCpuMs, cost.postgresCpuMs].map((ms) => ((ms * 1_000) / events).toFixed(1));
  return `| ${what} | ${whole(events / cost.seconds)} | ${cost.seconds.toFixed(1)} | ${process} | ${postgres} | ${whole(cost.peakBytes / 1e6)} | ${cost.load} |`;
};

const readings = (feed: FeedReading): readonly string[] =>
  [
    ['the archive', feed.coldEvents, feed.coldSeconds] as const,
    ['the database', feed.hotEvents, feed.hotSeconds] as const,
  ].map(
    ([of, events, seconds]) =>
      `| \`orgtrail feed\`, events of ${of} | ${whole(events / seconds)} | ${seconds.toFixed(1)} | | | | ${feed.load} |`,
  );

const verdicts = ({ archived, write, feed }: ArchiveFigures): readonly string[] => {
  const verdict = (met: boolean, text: string) => `${met ? 'Met' : 'Not met'}: ${text}.`;
  const [written, bytes] = [archived.events / write.seconds, archived.bytes / archived.events];
  const cold = feed.coldEvents / feed.coldSeconds;
  return [
    verdict(bytes <= 250, `${bytes.toFixed(1)} B an event in the archive (wanted: 250)`),
    verdict(
      written >= 15_000 && write.peakBytes <= 300e6,
      `${whole(written)} events/s written with ${whole(write.peakBytes / 1e6)} MB (wanted: 15,000 and 300)`,
    ),
    verdict(cold >= 20_000, `${whole(cold)} archived events/s read (wanted: 20,000)`),
  ];
};

/** As Markdown. */
export const renderArchive = (figures: ArchiveFigures): string => {
  const { events, rawBytes, bytesBefore, bytesAfter, archived, write, verify, restore, drop, into, feed } = figures;
  return [
    `${whole(events)} events of 18 months, ${rawBytes.toFixed(0)} B of raw text each; ${archived.months} months with ${whole(archived.events)} events archived and dropped.`,
    '',
    '| | in all | B an event |',
    '|---|---|---|',
    `| PostgreSQL alone, with indexes | ${gigabytes(bytesBefore)} | ${whole(bytesBefore / events)} |`,
    `| archived months, ${whole(archived.objects)} objects | ${gigabytes(archived.bytes)} | ${(archived.bytes / archived.events).toFixed(1)} |`,
    `| PostgreSQL, when they are dropped | ${gigabytes(bytesAfter)} | ${whole(bytesAfter / (events - archived.events))} |`,
    `| both together | ${gigabytes(bytesAfter + archived.bytes)} | ${whole((bytesAfter + archived.bytes) / events)} |`,
    '',
    '| | events/s | seconds | CPU µs/event: process | PostgreSQL | peak RSS MB | load |',
    '|---|---|---|---|---|---|---|',
    rowOf('`archive run`: written, read back, compared', archived.events, write),
    rowOf('`archive verify --contents`', archived.events, verify),
    rowOf(`\`archive restore ${restore.month}\``, restore.events, restore),
    rowOf('`archive run --drop`: read back, compared twice, dropped', archived.events, drop),
    rowOf('`archive restore --into`, an empty database', archived.events, into),
    rowOf('`orgtrail feed`, all events, not a position left out', events, feed),
    ...readings(feed),
    ...verdicts(figures).flatMap((line) => ['', line]),
  ].join('\n');
};
