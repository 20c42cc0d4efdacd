import type { SinkStatus } from '../../sinks/sink-status.sql.ts';
import { sinkState } from '../../status/sources/source-state.ts';
import { formatDuration } from '../../time/duration.ts';
import { counted } from './counted.ts';
import { alignColumns, printable } from './terminal-table.ts';

const header = ['SINK', 'STATE', 'TYPE', 'POSITION', 'BEHIND', 'DELAY', 'DEAD LETTERS', 'SKIPPED', 'WORKER', 'TARGET'];

/** How sinks stand, for people: a table, those in trouble first, and a line for each error, which may be long. */
export const sinkTable = (sinks: readonly SinkStatus[]): string => {
  const isOk = (sink: SinkStatus) => (sinkState(sink) === 'ok' ? 1 : 0);
  const ordered = sinks.toSorted((a, b) => isOk(a) - isOk(b));
  const rows = ordered.map((sink) => [
    sink.name,
    sinkState(sink),
    sink.type,
    String(sink.position),
    String(sink.lagEvents),
    formatDuration(sink.lagSeconds * 1_000),
    String(sink.deadLetters),
    String(sink.skipped),
    sink.heldBy ?? '-',
    printable(sink.target, 60),
  ]);
  const errors = ordered.flatMap(({ name, failures, lastError }) =>
    lastError === null
      ? []
      : [
          `${name}: ${failures === 0 ? '' : `${counted(failures, 'failure')} in a row, the `}last error: ${printable(lastError, 300)}`,
        ],
  );
  return `${[...alignColumns([header, ...rows]), ...(errors.length > 0 ? ['', ...errors] : [])].join('\n')}\n`;
};
