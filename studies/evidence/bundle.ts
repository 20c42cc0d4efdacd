// How long an export takes, and both verifiers, and how much memory: of a database of events as Cloudflare has them. `npm run lab bundle -- --help`
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createPool, type Pool } from '../../src/postgres/pool.ts';
import { newSigner, openBuilder } from '../../test/support/evidence/builder-world.ts';
import { commit, entryText, newSource, T0 } from '../../test/support/postgres/store-fixture.ts';
import { openServer } from '../bench/bench-database.ts';
import { storeManyEvents } from '../bench/many-rows.ts';

const help = `npm run lab bundle -- [options]

  --events N    in the database (default 1000000: 3 GB of disk for it, and 3 GB for two bundles; some minutes)
  --json        the figures as JSON on stdout

The server is that of TEST_DATABASE_URL, else the embedded one. Needs python3. Each command is a process of its own; time of its CPU
counts, since other things run beside it.`;

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '1000000' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const SAMPLE = 1_000;
const progress = (line: string) => process.stderr.write(`${line}\n`);

/** Some 1.1 kB, as an entry of Cloudflare's is. */
const entry = (index: number): string =>
  entryText(`sample-${index}`, T0 + index * 1_000, {
    raw: {
      cf_ray_id: `9a${index.toString(16).padStart(14, '0')}-FRA`,
      method: 'PATCH',
      status_code: 200,
      uri: `/client/v4/zones/${index}/settings`,
      user_agent:
        'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36',
    },
    resource: { id: `zone-${index}`, product: 'zones', type: 'zone_settings', scope: { id: `account-${index % 7}` } },
    request: {
      changes: Array.from({ length: 10 }, (_, at) => ({ key: `setting_${at}_${index}`, old: 'off', new: 'on' })),
    },
  });

interface Measured {
  readonly what: string;
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly megabytes: number;
  readonly output: string;
}

/** Runs a command and asks the system what it took. */
const measure = (what: string, command: readonly string[], env: Readonly<Record<string, string>> = {}): Measured => {
  const script = `import json, resource, subprocess, sys, time
began = time.monotonic()
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE)
wall = time.monotonic() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
if done.returncode: sys.exit('ended with %d' % done.returncode)
print(json.dumps({'wallSeconds': wall, 'cpuSeconds': used.ru_utime + used.ru_stime, 'megabytes': used.ru_maxrss / 1024, 'output': done.stdout.decode()[-300:]}))`;
  progress(what);
  const text = execFileSync('python3', ['-c', script, ...command], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], PYTHONUTF8: '1', ...env },
  });
  return { what, ...JSON.parse(text) };
};

const fill = async (pool: Pool, events: number, store: (rows: number) => Promise<void>): Promise<void> => {
  const lease = await newSource(pool, 'stored-sample');
  await commit(
    pool,
    lease,
    Array.from({ length: SAMPLE }, (_, index) => entry(index)),
  );
  if (events > SAMPLE) await store(events - SAMPLE);
  progress('building the evidence');
  await openBuilder(pool, newSigner(), { chunk: 20_000 }).build();
};

const run = async (): Promise<void> => {
  await using server = await openServer();
  const database = await server.createDatabase();
  const folder = mkdtempSync(join(tmpdir(), 'orgtrail-bundles-'));
  const pool = createPool(database.url, 4, () => {});
  try {
    await fill(pool, Number(values.events), (rows) => storeManyEvents(database.admin, rows, progress));
    const orgtrail = [process.execPath, fileURLToPath(new URL('../../dist/orgtrail.js', import.meta.url))];
    const found: Measured[] = [];
    const kinds: readonly (readonly [kind: string, options: readonly string[]])[] = [
      ['plain', []],
      ['packed', ['--gzip']],
    ];
    for (const [kind, options] of kinds) {
      const bundle = join(folder, kind);
      const exporting = [...orgtrail, 'evidence', 'export', bundle, ...options];
      found.push(measure(`export, ${kind}`, exporting, { DATABASE_URL: database.url }));
      found.push(measure(`orgtrail evidence verify, ${kind}`, [...orgtrail, 'evidence', 'verify', bundle]));
      found.push(measure(`verify.py, ${kind}`, ['python3', '-B', join(bundle, 'verify.py')]));
      progress(execFileSync('du', ['-sm', bundle], { encoding: 'utf8' }).trim());
    }
    const machine = `${await server.describe()}, load ${loadavg().map(Math.round).join(' ')}`;
    if (values.json) console.log(JSON.stringify({ machine, found }, undefined, 2));
    else console.log([machine, ...found.map(lineOf)].join('\n'));
  } finally {
    await pool.end();
    await database.drop();
    rmSync(folder, { recursive: true, force: true });
  }
};

const lineOf = ({ what, wallSeconds, cpuSeconds, megabytes }: Measured): string =>
  `${what.padEnd(40)} ${wallSeconds.toFixed(1).padStart(6)} s wall ${cpuSeconds.toFixed(1).padStart(6)} s CPU ${megabytes.toFixed(0).padStart(5)} MB`;

if (values.help) console.log(help);
else await run();
