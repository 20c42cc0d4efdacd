/** What `npm run lab` runs. */
export interface Study {
  readonly name: string;
  /** From the root of the checkout: a script of Node's or of a shell. */
  readonly runs: string;
  readonly is: string;
}

export const studies: readonly Study[] = [
  { name: 'alerts', runs: 'studies/alerts/alerts.ts', is: 'every alert provoked in real daemons; needs Prometheus' },
  {
    name: 'bench',
    runs: 'studies/bench/bench.ts',
    is: 'how fast it stores, beside COPY and the SDK (docs/development/benchmarks.md)',
  },
  {
    name: 'bench-archive',
    runs: 'studies/bench/archive/archive-bench.ts',
    is: 'what the archive takes: bytes of an event, events a second, memory, the feed behind it (docs/development/benchmarks.md)',
  },
  { name: 'bench-feed', runs: 'studies/bench/feed.ts', is: 'how fast the feed is, by format' },
  {
    name: 'bench-history',
    runs: 'studies/bench/history.ts',
    is: 'ten million events, and the questions that people ask',
  },
  {
    name: 'bench-thaw',
    runs: 'studies/bench/archive/thaw-bench.ts',
    is: 'a month of 500,000 events that is thawed: rate, CPU time, and 28 summaries as before',
  },
  { name: 'bundle', runs: 'studies/evidence/bundle.ts', is: 'export and both verifiers on a million events' },
  {
    name: 'chaos',
    runs: 'studies/chaos/chaos.ts',
    is: 'ten minutes of kills, stops and crashes (docs/development/how-it-is-tested.md)',
  },
  {
    name: 'chaos-archive',
    runs: 'studies/chaos-archive/chaos-archive.ts',
    is: 'months archived and dropped by processes that are killed at every step, while objects are changed outside (docs/archive.md)',
  },
  {
    name: 'chaos-evidence',
    runs: 'studies/chaos-evidence/chaos-evidence.ts',
    is: 'three builders, the same disruptions, and a failover that loses signed checkpoints (docs/development/how-it-is-tested.md)',
  },
  {
    name: 'clock',
    runs: 'scripts/clock.ts',
    is: 'how long the steps and files of tests took that ran with TEST_CLOCK=FOLDER: FOLDER [--write docs/development/test-times.md]',
  },
  { name: 'compose', runs: 'scripts/docker/compose.sh', is: 'the stack of deploy/compose; needs Docker' },
  {
    name: 'console-beside',
    runs: 'studies/bench/console/console-beside.ts',
    is: 'ingestion with a person at the console beside it and without, in turn (docs/development/benchmarks.md)',
  },
  { name: 'container', runs: 'scripts/docker/container.sh', is: 'the image, locked down; needs Docker' },
  { name: 'demo', runs: 'scripts/docker/hold-demo.ts', is: 'the demo, open for ten minutes on a busy machine' },
  {
    name: 'evidence-beside',
    runs: 'studies/evidence/beside.ts',
    is: 'ingestion with the builder of the evidence beside it and without, in turn (docs/development/benchmarks.md)',
  },
  {
    name: 'freshness',
    runs: 'studies/freshness/simulate.ts',
    is: 'how soon events are had, by two policies, in virtual time',
  },
  {
    name: 'many-sources',
    runs: 'studies/measure/many-sources.ts',
    is: 'ticks, memory, status and metrics of a daemon with 50,000 accounts',
  },
  { name: 'memory', runs: 'studies/measure/memory.ts', is: 'resident memory with 200,000 entries and all faults' },
  {
    name: 'upgrade',
    runs: 'studies/measure/upgrade.ts',
    is: 'how long a migration of a million events takes, and makes readers and writers wait',
  },
  {
    name: 'mutants',
    runs: 'studies/mutants/mutants.ts',
    is: 'small faults drawn at random, and which of them no test notices: --count 30 --seed 1 (--help)',
  },
  {
    name: 'pgbouncer',
    runs: 'scripts/integration-behind-pgbouncer.ts',
    is: 'the integration tests with pgbouncer in between',
  },
  {
    name: 'readers',
    runs: 'studies/measure/readers.ts',
    is: 'many readers, also such that read nothing (docs/development/benchmarks.md)',
  },
  {
    name: 'screenshots',
    runs: 'scripts/screenshots/screenshots.ts',
    is: 'the pictures in docs/images; needs Chromium',
  },
  {
    name: 'simulation',
    runs: 'scripts/simulate-seeds.ts',
    is: 'more worlds for the daemon: --seeds 100000 --from 10001 (docs/development/how-it-is-tested.md)',
  },
];
