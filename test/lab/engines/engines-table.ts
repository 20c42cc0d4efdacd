import { loadavg } from 'node:os';
import type { Findings } from './findings.ts';
import type { VariantResult } from './read-archive.ts';
import type { EngineReader } from './readers/engine-reader.ts';

export interface EnginesFigures {
  readonly readers: readonly EngineReader[];
  /** So many of the archive were compared, by each reader. */
  readonly rows: number;
  readonly variants: readonly VariantResult[];
  readonly findings: Findings;
}

const whole = (value: number): string => Math.round(value).toLocaleString('en');

/** As Markdown. */
export const renderEngines = ({ readers, rows, variants, findings }: EnginesFigures): string => {
  const titles = variants.map(({ version, level }) => `version ${version.slice(1)}, level ${level}`);
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const timesOf = ({ name }: EngineReader) =>
    variants.map(({ costs }) => {
      const cost = costs.get(name);
      return cost === undefined ? 'does not read it' : `${whole(cost.cpuMs)}, ${whole(cost.bestMs)}`;
    });
  return [
    `${whole(rows)} rows of the archive compared with PostgreSQL by each engine. Every value of a month of ${whole(variants[0]?.rows ?? 0)} events in one object, from a file: CPU ms of the process (the median of nine readings), and ms of the shortest one, at a load of ${loadavg()[0]?.toFixed(0)} on 2 cores.`,
    '',
    row(['engine', ...titles]),
    row(['---', ...titles.map(() => '---')]),
    row(['bytes an event', ...variants.map(({ bytes, rows: events }) => (bytes / events).toFixed(1))]),
    ...readers.map((reader) => row([`${reader.name} ${reader.version}`, ...timesOf(reader)])),
    '',
    findings.faults.length === 0 ? 'Everything is equal.' : `Not equal:`,
    ...findings.faults.flatMap((fault) => ['', `- ${fault}`]),
  ].join('\n');
};
