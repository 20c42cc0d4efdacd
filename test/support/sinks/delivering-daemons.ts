import type { Pool } from 'pg';
import { expect } from 'vitest';
import { exitCodes } from '../../../src/base/errors.ts';
import { freePorts } from '../network/free-ports.ts';
import { type OrgtrailProcess, startOrgtrail } from '../process/orgtrail-process.ts';
import { seededRandom } from '../process/seeded-random.ts';
import { until } from '../process/until.ts';
import { credentials } from './http/http-sinks.ts';

/**
 * Two daemons that share the sinks, killed now and then; each starts again at its port. As under a supervisor, one that
 * finds no database when it starts, and exits with 4, is started again too.
 */
export interface DeliveringDaemons {
  /** Of the first one. */
  readonly url: string;
  /** Waits until the positions of all sinks add up to so much and one of the daemons delivers. */
  untilDelivered(least: number): Promise<unknown>;
  /** SIGKILL, mostly of the one that delivers to more sinks, once something has been delivered since the last time. */
  kill(): Promise<void>;
  /** SIGTERM; expects that both end as told, and that no credential of a sink is in what any daemon has said. */
  stop(): Promise<void>;
  kills(): number;
  /** Sinks to which those that were killed delivered just then. */
  turnsCut(): number;
}

/** Of all sinks together: so much is delivered between two kills. */
const EVENTS_BETWEEN_KILLS = 1_500;

/** Starts them with this environment; `pool` leads to their database, `stack` ends them. */
export const startDeliveringDaemons = async (
  stack: AsyncDisposableStack,
  env: Readonly<Record<string, string>>,
  {
    pool,
    seed,
    eventsBetweenKills = EVENTS_BETWEEN_KILLS,
  }: { readonly pool: Pool; readonly seed: number; readonly eventsBetweenKills?: number },
): Promise<DeliveringDaemons> => {
  const ports = await freePorts(2);
  const running: OrgtrailProcess[] = [];
  const ended: OrgtrailProcess[] = [];
  let stopping = false;
  const unreachable: OrgtrailProcess[] = [];
  const start = (port: number, index: number) => {
    const daemon = startOrgtrail(['run'], { ...env, ORGTRAIL_HTTP_PORT: String(port) });
    running[index] = daemon;
    void daemon.ended.then((code) => {
      if (code !== exitCodes.unreachable || stopping) return;
      unreachable.push(daemon);
      start(port, index);
    });
  };
  ports.forEach(start);
  const random = seededRandom(seed);
  let turnsCut = 0;
  let killFrom = 0;
  stack.defer(async () => {
    stopping = true;
    for (const { child } of running) child.kill('SIGKILL');
    await Promise.all(running.map((daemon) => daemon.ended));
  });
  /** How many sinks each of them delivers to, once they have delivered this much; throws while PostgreSQL is away. */
  const turnsHeld = async (least: number) => {
    const { rows } = await pool.query<{ position: number; pid: string | null }>(
      `select position::float8, case when lease_until > clock_timestamp() then split_part(lease_owner, '/', 2) end as pid
       from sinks`,
    );
    const position = rows.reduce((sum, row) => sum + row.position, 0);
    const turns = running.map(({ child }) => rows.filter(({ pid }) => pid === String(child.pid)).length);
    return position >= least && turns.some((count) => count > 0) ? { position, turns } : undefined;
  };
  const untilDelivered = async (least: number) => {
    let held: Awaited<ReturnType<typeof turnsHeld>>;
    const answers = async () => {
      held = await turnsHeld(least).catch(() => undefined);
      return held !== undefined;
    };
    await until(`position ${least}, of all sinks together`, answers);
    return held ?? { position: 0, turns: [] };
  };
  const kill = async () => {
    const { position, turns } = await untilDelivered(killFrom);
    killFrom = position + eventsBetweenKills;
    // Mostly the one that delivers to more sinks.
    const busier = (turns[1] ?? 0) > (turns[0] ?? 0) ? 1 : 0;
    const victim = random() < 0.8 ? busier : 1 - busier;
    const [daemon, port] = [running[victim], ports[victim]];
    if (daemon === undefined || port === undefined) throw new Error(`no daemon ${victim}`);
    daemon.child.kill('SIGKILL');
    await daemon.ended;
    ended.push(daemon);
    turnsCut += turns[victim] ?? 0;
    if (running[victim] === daemon) start(port, victim);
  };
  const stop = async () => {
    await Promise.all(running.map((daemon) => daemon.waitFor('orgtrail started')));
    stopping = true;
    for (const { child } of running) child.kill('SIGTERM');
    expect(await Promise.all(running.map((daemon) => daemon.ended))).toEqual([143, 143]);
    for (const daemon of [...ended, ...unreachable, ...running]) {
      const said = daemon.stdout() + daemon.stderr();
      const { username: _, ...secrets } = credentials;
      for (const secret of Object.values(secrets)) expect(said).not.toContain(secret);
    }
  };
  return {
    url: `http://127.0.0.1:${ports[0]}`,
    untilDelivered,
    kill,
    stop,
    kills: () => ended.length,
    turnsCut: () => turnsCut,
  };
};
