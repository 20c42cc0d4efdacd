import { parseArgs } from 'node:util';
import { runSeed } from '../test/simulation/run-seed.ts';
import { Simulation } from '../test/simulation/simulation.ts';
import { countsTable, sum } from '../test/simulation/sometimes.ts';

// npm run lab simulation -- --seeds 100000 --from 1      a range of seeds, the failing ones named
// npm run lab simulation -- --seed 4711                  one seed, with its trace
const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    from: { type: 'string' },
    oddity: { type: 'string' },
    seed: { type: 'string' },
  },
});

const replay = async (seed: number): Promise<boolean> => {
  const { trace, violation, hash, events } = await runSeed(seed, true);
  console.log((trace ?? []).join('\n'));
  console.log(`seed ${seed}: ${events} events, hash ${hash.toString(16)}: ${violation ?? 'all held'}`);
  return violation === undefined;
};

const range = async (from: number, seeds: number): Promise<boolean> => {
  const counts = new Map();
  const failed: number[] = [];
  const startMs = performance.now();
  let events = 0;
  let ran = 0;
  for (let seed = from; seed < from + seeds; seed += 1) {
    if (values.oddity !== undefined && new Simulation(seed, false).world.oddity?.kind !== values.oddity) continue;
    const result = await runSeed(seed);
    ran += 1;
    sum(counts, result.counts);
    events += result.events;
    // What a world kept weakly is only freed between two turns of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    if (result.violation === undefined) continue;
    failed.push(seed);
    console.log(`seed ${seed}: ${result.violation}`);
  }
  const seedMs = ((performance.now() - startMs) / ran).toFixed(2);
  console.log(countsTable(counts));
  console.log(
    `${ran} seeds from ${from}: ${failed.length} failed; ${Math.round(events / ran)} events and ${seedMs} ms each`,
  );
  return failed.length === 0;
};

const held =
  values.seed === undefined
    ? await range(Number(values.from ?? 1), Number(values.seeds ?? 10_000))
    : await replay(Number(values.seed));
process.exitCode = held ? 0 : 1;
