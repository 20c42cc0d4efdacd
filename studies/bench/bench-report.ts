import { readFile, writeFile } from 'node:fs/promises';
import type { CaseResult } from './cases.ts';
import type { Measured } from './compare.ts';
import { type Cost, median } from './measure.ts';

const labels: Readonly<Record<string, string>> = {
  orgtrail: 'orgtrail, end to end over HTTP',
  'sdk-single': '`cloudflare` SDK, one INSERT an entry',
  'sdk-500': '`cloudflare` SDK, 500 rows an INSERT',
  copy: 'bare COPY, one connection: no HTTP, no dedupe, no checkpoint',
  'copy-2': 'bare COPY, two connections',
  read: 'the pages alone, read and thrown away',
};

/** The ratio of the rates, round by round: what made the whole machine slow for a while falls out. */
const ratio = (of: Measured, to: Measured | undefined): number | undefined => {
  if (to === undefined) return undefined;
  return median(of.seconds.map((seconds, n) => of.entries / seconds / (to.entries / (to.seconds[n] ?? 1))));
};

const rateOf = ({ entries, seconds }: Measured): number => entries / median(seconds);

const perEntry = (line: Measured, of: (cost: Cost) => number | undefined): number | undefined => {
  const values = line.costs.map(of).filter((value) => value !== undefined);
  return values.length === 0 ? undefined : median(values) / line.entries;
};

const number = (value: number | undefined, digits = 0): string => (value === undefined ? '-' : value.toFixed(digits));

/** The targets that a case has, and whether they were met. */
const judge = (name: string, lines: readonly Measured[]): readonly string[] => {
  const line = (of: string) => lines.find((each) => each.name === of);
  const own = line('orgtrail');
  const verdict = (met: boolean, text: string) => `${met ? 'Met' : 'Not met'}: ${text}.`;
  const large = line('orgtrail, large table');
  if (large !== undefined) {
    const kept = ratio(large, line('orgtrail, empty table')) ?? 0;
    const [copyLarge, copyEmpty] = [line('copy, large table'), line('copy, empty table')];
    const copyKept = copyLarge === undefined ? undefined : ratio(copyLarge, copyEmpty);
    return [
      verdict(kept >= 0.9, `${kept.toFixed(2)} of the rate on an empty table (wanted: 0.9)`),
      `COPY of the same rows, one connection, keeps ${number(copyKept, 2)} of its rate; of it orgtrail has ${number(ratio(large, copyLarge), 2)} on the large table.`,
    ];
  }
  if (own === undefined) return [];
  if (name === 'replay') {
    const wal = perEntry(own, (cost) => cost.walBytes) ?? 0;
    const { rows, positions } = own.added;
    const met = rateOf(own) >= 25_000 && rows === 0 && positions === 0 && wal <= 100;
    const done = `${rateOf(own).toFixed(0)} entries/s, ${rows} rows, ${positions} positions, ${wal.toFixed(0)} bytes of WAL`;
    return [verdict(met, `${done} an entry (wanted: 25000, 0, 0, 100)`)];
  }
  if (name !== 'first-load') return [];
  const [ofCopy, ofSingle] = [ratio(own, line('copy')) ?? 0, ratio(own, line('sdk-single')) ?? 0];
  return [
    verdict(ofCopy >= 0.9, `${ofCopy.toFixed(2)} of bare COPY (wanted: 0.9)`),
    verdict(ofSingle >= 8, `${ofSingle.toFixed(1)} × the loop of single inserts (wanted: 8)`),
  ];
};

/** One case as Markdown: ratios first. */
export const renderCase = ({ name, title, lines, notes }: CaseResult): string => {
  const find = (of: string) => lines.find((each) => each.name === of);
  const [limit, single] = [find('copy') ?? find('orgtrail, empty table'), find('sdk-single')];
  const rows = lines.map((line) => {
    const cells = [
      labels[line.name] ?? line.name,
      number(ratio(line, limit), 2),
      number(ratio(line, single), 1),
      rateOf(line).toFixed(0),
      number(
        perEntry(line, ({ processCpuMs }) => processCpuMs * 1_000),
        1,
      ),
      number(
        perEntry(line, ({ postgresCpuMs }) => postgresCpuMs && postgresCpuMs * 1_000),
        1,
      ),
      number(perEntry(line, ({ walBytes }) => walBytes)),
      (median(line.costs.map((cost) => cost.peakResidentBytes)) / 1e6).toFixed(0),
      ((line.requests / line.entries) * 1_000).toFixed(2),
    ];
    return `| ${cells.join(' | ')} |`;
  });
  const limitName = find('copy') === undefined ? 'of the empty table' : 'of COPY';
  return [
    `### ${title}`,
    '',
    `\`${name}\`: ${lines[0]?.entries} entries a round, medians of ${lines[0]?.seconds.length} rounds in turn.`,
    '',
    `| way | ${limitName} | × single inserts | entries/s | CPU µs/entry: process | PostgreSQL | WAL bytes/entry | peak RSS MB | requests/1,000 |`,
    `|---|---|---|---|---|---|---|---|---|`,
    ...rows,
    ...[...judge(name, lines), ...notes].flatMap((note) => ['', note]),
  ].join('\n');
};

/** Puts each table in the place of the one before, between comments that name it; adds it where there is none yet. No `machine`: it stays. */
export const writeReport = async (
  file: string,
  machine: string | undefined,
  tables: readonly { readonly name: string; readonly text: string }[],
): Promise<void> => {
  let text = await readFile(file, 'utf8').catch(() => '');
  const ofMachine = machine === undefined ? [] : [{ name: 'machine', text: `${machine}.` }];
  for (const table of [...ofMachine, ...tables]) {
    const [begin, end] = [`<!-- bench ${table.name} -->`, `<!-- bench ${table.name} end -->`];
    const place = `${begin}\n${table.text}\n${end}`;
    const at = text.indexOf(begin);
    const to = text.indexOf(end);
    if (at === -1 || to < at) text = `${text.trimEnd()}\n\n${place}\n`;
    else text = text.slice(0, at) + place + text.slice(to + end.length);
  }
  await writeFile(file, text.trimStart());
};
