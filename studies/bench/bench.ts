// What writing costs: orgtrail beside what people would use instead, and beside the limit. One run, the same pages, the same
// PostgreSQL, in turn; ratios are what counts. `npm run bench -- --help`
import { parseArgs } from 'node:util';
import { openServer } from './bench-database.ts';
import { renderCase, writeReport } from './bench-report.ts';
import { type CaseResult, cases } from './cases.ts';
import { runSteady } from './steady.ts';

const usual = ['first-load', 'one', 'replay', 'many', 'latency'];
const help = `npm run bench -- [options]

  --case NAMES     comma-separated: ${[...Object.keys(cases), 'steady'].join(', ')}, all
                   (default: ${usual.join(',')}, some 8 minutes)
  --rounds N       counted ones; one more warms up (default 5)
  --entries N      in all logs together (default 60000)
  --preload N      rows that the case large begins with (default 10000000: 15 GB of disk, some 10 minutes)
  --minutes N      of the case steady (default 30)
  --json           the figures as JSON on stdout
  --report FILE    puts the tables into a Markdown file, each in place of the one before

The server is that of TEST_DATABASE_URL (an account that may create databases and CHECKPOINT), else the embedded one.`;

const readOptions = () => {
  try {
    return parseArgs({
      options: {
        case: { type: 'string', default: usual.join(',') },
        rounds: { type: 'string', default: '5' },
        entries: { type: 'string', default: '60000' },
        preload: { type: 'string', default: '10000000' },
        minutes: { type: 'string', default: '30' },
        json: { type: 'boolean', default: false },
        report: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\nsee npm run bench -- --help`);
    process.exit(2);
  }
};
const values = readOptions();

const count = (name: 'rounds' | 'entries' | 'preload' | 'minutes'): number => {
  const value = Number(values[name]);
  if (!(value > 0)) throw new RangeError(`--${name} must be a number above 0`);
  return value;
};

const run = async (): Promise<void> => {
  const names = values.case === 'all' ? [...Object.keys(cases), 'steady'] : values.case.split(',');
  const unknown = names.filter((name) => cases[name] === undefined && name !== 'steady');
  if (unknown.length > 0) throw new RangeError(`there is no case ${unknown.join(', ')}; see --help`);
  const progress = (line: string) => process.stderr.write(`${line}\n`);
  await using server = await openServer();
  const machine = await server.describe();
  const options = { server, rounds: count('rounds'), entries: count('entries'), preload: count('preload'), progress };
  const tables: { name: string; text: string }[] = [];
  const results: CaseResult[] = [];
  for (const name of names) {
    progress(`case ${name}`);
    const found = cases[name];
    if (found === undefined) {
      tables.push({ name, text: await runSteady(server, count('minutes'), progress) });
      continue;
    }
    const result = await found(options);
    results.push(result);
    tables.push({ name, text: renderCase(result) });
  }
  if (values.json) console.log(JSON.stringify({ machine, results }, undefined, 2));
  else console.log([machine, ...tables.map(({ text }) => text)].join('\n\n'));
  if (values.report !== undefined) await writeReport(values.report, machine, tables);
};

if (values.help) console.log(help);
else
  await run().catch((error: unknown) => {
    console.error(error instanceof RangeError ? error.message : error);
    process.exitCode = error instanceof RangeError ? 2 : 1;
  });
