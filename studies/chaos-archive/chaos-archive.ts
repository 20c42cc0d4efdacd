// `npm run lab chaos-archive`: see --help, and docs/archive.md.
import { parseArgs } from 'node:util';
import { runSeed } from './archive-run.ts';
import { startServers } from './archive-world.ts';

import { runLake } from './lake-run.ts';

const help = `Usage: npm run lab chaos-archive -- [--seeds 50] [--from 1]
       npm run lab chaos-archive -- --lake moto|radosgw [--events 300000] [--kills 50] [--from 1]

Processes that archive and drop months are killed at every step between writing, reading back, cataloguing and dropping, objects are cut,
swapped, altered and emptied outside, events come late. Needs moto (python3-moto of Debian).

--lake: 14 months are archived so, and none dropped. After each of five rounds ClickHouse (scripts/install/clickhouse.sh) reads the Iceberg table, and
DuckDB its files by field ids: both must have all columns of all rows of PostgreSQL, and older snapshots what they had.

Exit codes: 0 everything that was dropped reads back to the byte; 1 something is lost; 2 usage.
`;
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '50' },
    from: { type: 'string', default: '1' },
    lake: { type: 'string' },
    events: { type: 'string', default: '300000' },
    kills: { type: 'string', default: '50' },
    help: { type: 'boolean', default: false },
  },
});
const [seeds, from] = [Number(values.seeds), Number(values.from)];
if (values.help || !Number.isSafeInteger(seeds) || !Number.isSafeInteger(from)) {
  process.stdout.write(help);
  process.exit(values.help ? 0 : 2);
}
const say = (line: string) => process.stdout.write(`${line}\n`);
const readLake = async (kind: string): Promise<void> => {
  await using servers = await startServers(kind);
  await runLake(servers, { seed: from, events: Number(values.events), kills: Number(values.kills), say });
};
if (values.lake !== undefined) {
  await readLake(values.lake);
  process.exit(0);
}
const kills = new Map<string, number>();
let [failed, tampered, late] = [0, 0, 0];
await using servers = await startServers();
for (let seed = from; seed < from + seeds; seed += 1) {
  const result = await runSeed(servers, seed);
  for (const [moment, count] of Object.entries(result.kills)) kills.set(moment, (kills.get(moment) ?? 0) + count);
  tampered += result.tampered;
  late += result.late;
  say(`seed ${seed}: ${result.faults.length === 0 ? 'nothing is lost' : result.faults.join('; ')}`);
  if (result.faults.length === 0) continue;
  failed += 1;
  say(result.log.map((line) => `  ${line}`).join('\n'));
}
const byMoment = [...kills].sort().map(([moment, count]) => `${moment} ${count}`);
say(
  `${seeds} seeds, ${failed} with faults; killed at: ${byMoment.join(', ')}; ${tampered} objects changed outside, ${late} late rows`,
);
process.exitCode = failed === 0 ? 0 : 1;
