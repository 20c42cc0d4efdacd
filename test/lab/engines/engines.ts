// The documented statements and the objects of the archive in engines of other authors: `npm run lab engines`, see --help.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeReport } from '../bench/bench-report.ts';
import { renderEngines } from './engines-table.ts';
import { openEnginesWorld } from './engines-world.ts';
import { createFindings } from './findings.ts';
import { installPackages } from './packages.ts';
import { compareArchive, compareVariants } from './read-archive.ts';
import { compareLake } from './read-lake.ts';
import { arrowReader } from './readers/arrow.ts';
import { clickHouseReader, openClickHouse } from './readers/clickhouse.ts';
import { duckReader, hyparquetReader } from './readers/packaged.ts';
import { polarsReader } from './readers/polars.ts';
import { runArchiveStatements, runSinkStatements } from './run-statements.ts';

const help = `Usage: npm run lab engines -- [--events 60000] [--seed 1] [--packages DIR] [--report docs/benchmarks.md]

Installs ClickHouse (chdb), the Rust reader of Arrow (parquet-wasm) and Polars from npm into a temporary directory, or into --packages DIR
(600 MB; Linux on x64 with glibc). Archives months of a real PostgreSQL into a directory and a bucket, writes objects by the sink s3 and
OCSF for Security Lake, runs the statements of docs/query.md and docs/sinks-s3.md in these engines, and compares every row, column and
byte with PostgreSQL. It does the same with copies of an object in both versions of Parquet, at two levels of zstd.

Needs moto (python3-moto of Debian) and some 2 GB of memory. Prints progress on stderr and a table on stdout; --report puts that into a
file, in the place of the one before.

Exit codes: 0 everything is equal; 1 something is not; 2 usage.
`;
const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '60000' },
    seed: { type: 'string', default: '1' },
    packages: { type: 'string' },
    report: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const [events, seed] = [Number(values.events), Number(values.seed)];
if (values.help || !Number.isSafeInteger(events) || events < 1_000 || !Number.isSafeInteger(seed)) {
  process.stdout.write(help);
  process.exit(values.help ? 0 : 2);
}
const startedAt = performance.now();
const progress = (line: string) =>
  process.stderr.write(`${((performance.now() - startedAt) / 1_000).toFixed(0).padStart(5)} s: ${line}\n`);

const directory = values.packages ?? (await mkdtemp(join(tmpdir(), 'orgtrail-engines-packages-')));
try {
  progress(`npm install in ${directory}`);
  const packages = await installPackages(directory);
  using clickHouse = openClickHouse(packages);
  const readers = [
    clickHouseReader(clickHouse),
    await arrowReader(packages),
    await polarsReader(packages),
    await duckReader(),
    await hyparquetReader(),
  ];
  const findings = createFindings(progress);
  await using world = await openEnginesWorld({ events, seed, progress });
  const rows = await compareArchive(world, readers, findings);
  const variants = await compareVariants(world, readers, findings);
  await runArchiveStatements(world, clickHouse, findings);
  await runSinkStatements(world, clickHouse, findings);
  await compareLake(world, readers, findings);
  const text = renderEngines({ readers, rows, variants, findings });
  process.stdout.write(`${text}\n`);
  if (values.report !== undefined) await writeReport(values.report, undefined, [{ name: 'engines', text }]);
  process.exitCode = findings.faults.length === 0 ? 0 : 1;
} finally {
  if (values.packages === undefined) await rm(directory, { recursive: true, force: true });
}
