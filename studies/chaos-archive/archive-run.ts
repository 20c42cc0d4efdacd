import { runOrgtrail } from '../../test/support/process/orgtrail-process.ts';
import { seededRandom } from '../../test/support/process/seeded-random.ts';
import { type ArchiveServers, months, openSeedWorld, type SeedWorld } from './archive-world.ts';
import { moments, runAndKill } from './killed-run.ts';
import { addLate, tamper } from './outsiders.ts';
import { openTruth, type Truth } from './truth.ts';

/** How many processes of a seed are killed at most. */
const KILLS = 6;
/** How often there are small objects. */
const SMALL = 0.7;

/** What a seed showed. */
export interface SeedResult {
  readonly seed: number;
  /** What is lost or stays where it must not; none: all is well. */
  readonly faults: readonly string[];
  /** By moment. */
  readonly kills: Readonly<Record<string, number>>;
  readonly tampered: number;
  readonly late: number;
  readonly log: readonly string[];
}

/**
 * Archives and drops three months with processes that are killed, while others change the bucket and events come late: after each process
 * everything must be in the database or, to the byte, in the bucket. The last process is not killed, and must drop all of them.
 */
export const runSeed = async (servers: ArchiveServers, seed: number): Promise<SeedResult> => {
  const random = seededRandom(seed);
  await using world = await openSeedWorld(servers, seed);
  const truth = openTruth(world);
  await truth.note();
  const kills: Record<string, number> = {};
  const [log, faults]: [string[], string[]] = [[], []];
  let [tampered, late] = [0, 0];
  const noteDone = (what: string | undefined): number => {
    if (what !== undefined) log.push(what);
    return what === undefined ? 0 : 1;
  };
  for (let round = 0; round < KILLS && faults.length === 0; round += 1) {
    const moment = moments[Math.floor(random() * moments.length)] ?? 'any time';
    const hasSmallObjects = random() < SMALL;
    const nth = 1 + Math.floor(random() * (hasSmallObjects ? 10 : 4));
    const afterMs = 300 + random() * (hasSmallObjects ? 6_000 : 2_000);
    const { isKilled, output } = await runAndKill(servers, world, { moment, nth, hasSmallObjects, afterMs });
    log.push(
      `${isKilled ? 'killed' : 'ended'} at ${moment} ${nth}${hasSmallObjects ? ' of small objects' : ''}: ${output.trim().replaceAll('\n', ' | ')}`,
    );
    const name = hasSmallObjects ? `${moment} (small)` : moment;
    if (isKilled) kills[name] = (kills[name] ?? 0) + 1;
    faults.push(...(await lostIn(truth)));
    if (random() < 0.6) tampered += noteDone(await tamper(world, random));
    if (random() < 0.5) late += noteDone(await addLate(world.owner, random, `${seed}-${round}`));
    await truth.note();
  }
  if (faults.length === 0) faults.push(...(await finish(world, truth, log)));
  return { seed, faults, kills, tampered, late, log };
};

const lostIn = async (truth: Truth): Promise<readonly string[]> =>
  (await truth.lost()).map((what) => `neither in the database nor in the bucket: ${what}`);

const finish = async (world: SeedWorld, truth: Truth, log: string[]): Promise<readonly string[]> => {
  const { code, stdout, stderr } = await runOrgtrail(['archive', 'run', '--drop'], world.env);
  log.push(`last run: ${code} ${stdout}${stderr}`);
  const { rows } = await world.owner.query<{ left: number }>(
    "select count(*)::integer as left from audit_events where action_time < '2024-04-01'",
  );
  const verified = await runOrgtrail(['archive', 'verify', '--contents'], world.env);
  return [
    ...(await lostIn(truth)),
    ...(code === 0 ? [] : [`the last run ended with ${code}`]),
    ...(rows[0]?.left === 0 ? [] : [`${rows[0]?.left} events of ${Object.keys(months).join(', ')} were not dropped`]),
    ...(verified.code === 0 ? [] : [`archive verify: ${verified.stdout}${verified.stderr}`]),
  ];
};
