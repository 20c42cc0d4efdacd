import { formatDuration } from '../domain/duration.ts';
import type { SinkStatus } from '../store/sink-status.ts';
import { alignColumns, printable } from './terminal-table.ts';

const header = [
  'SINK',
  'TYPE',
  'TARGET',
  'POSITION',
  'BEHIND',
  'LAG',
  'DEAD LETTERS',
  'FAILURES',
  'HELD BY',
  'LAST ERROR',
];

/** How sinks stand, for people. */
export const sinkTable = (sinks: readonly SinkStatus[]): string => {
  const rows = sinks.map((sink) => [
    sink.name,
    sink.type,
    printable(sink.target, 60),
    String(sink.position),
    String(sink.lagEvents),
    formatDuration(sink.lagSeconds * 1_000),
    String(sink.deadLetters),
    String(sink.failures),
    sink.heldBy ?? '-',
    printable(sink.lastError ?? '-', 80),
  ]);
  return `${alignColumns([header, ...rows]).join('\n')}\n`;
};
