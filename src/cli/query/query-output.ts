import type { QueryResult } from '../../archive/parquet/query-duck.ts';
import type { QueryValue } from '../../archive/parquet/query-values.ts';
import { csvRecord } from '../../search/export/csv.ts';
import type { CliContext } from '../cli-context.ts';
import { alignColumns, printable } from '../output/terminal-table.ts';
import { written } from '../output/written.ts';

export type QueryFormat = 'table' | 'json' | 'csv' | 'ndjson';

const TABLE_ROWS = 1_000;
const CELL_WIDTH = 60;

type Out = Pick<CliContext, 'stdout' | 'stderr'>;
type Row = readonly QueryValue[];

/** Writes all rows; of a table the first thousand, and a line on stderr if there are more. `facts` end the document of `--json`. */
export const writeResult = async (
  result: QueryResult,
  format: QueryFormat,
  facts: Readonly<Record<string, unknown>>,
  out: Out,
): Promise<void> => {
  if (format === 'table') return await writeTable(result, out);
  if (format === 'json') return await writeJson(result, facts, out);
  const line = format === 'csv' ? csvLine : jsonLine(result);
  if (format === 'csv') await written(out.stdout, csvRecord(result.columns.map(({ name }) => name)));
  for await (const rows of result.rows()) await written(out.stdout, rows.map(line).join(''));
};

const writeTable = async (result: QueryResult, { stdout, stderr }: Out): Promise<void> => {
  const shown: string[][] = [];
  let hasMore = false;
  for await (const rows of result.rows()) {
    const left = TABLE_ROWS - shown.length;
    for (const row of rows.slice(0, left)) shown.push(row.map(cell));
    hasMore = rows.length > left;
    if (hasMore) break;
  }
  const header = result.columns.map(({ name }) => printable(name, CELL_WIDTH));
  await written(stdout, `${alignColumns([header, ...shown]).join('\n')}\n`);
  if (hasMore) {
    stderr.write(`these are the first ${TABLE_ROWS.toLocaleString('en')} rows: --csv, --ndjson and --json print all\n`);
  }
};

const cell = (value: QueryValue): string => (value === null ? '-' : printable(textOf(value), CELL_WIDTH));

const textOf = (value: QueryValue): string => (typeof value === 'object' ? JSON.stringify(value) : String(value));

const csvLine = (row: Row): string =>
  csvRecord(row.map((value) => (typeof value === 'object' && value !== null ? JSON.stringify(value) : value)));

const jsonLine = (result: QueryResult): ((row: Row) => string) => {
  const text = jsonOf(result);
  return (row) => `${text(row)}\n`;
};

/** By hand: a column may be called `__proto__`, or 7, which would come first. */
const jsonOf = ({ columns }: QueryResult): ((row: Row) => string) => {
  const names = columns.map(({ name }) => JSON.stringify(name));
  return (row) => `{${row.map((value, index) => `${names[index]}:${JSON.stringify(value)}`).join(',')}}`;
};

const writeJson = async (
  result: QueryResult,
  facts: Readonly<Record<string, unknown>>,
  { stdout }: Out,
): Promise<void> => {
  const text = jsonOf(result);
  await written(stdout, `{"columns":${JSON.stringify(result.columns)},"rows":[`);
  let separator = '\n';
  for await (const rows of result.rows()) {
    if (rows.length === 0) continue;
    await written(stdout, separator + rows.map(text).join(',\n'));
    separator = ',\n';
  }
  await written(stdout, `],${JSON.stringify(facts).slice(1)}\n`);
};
