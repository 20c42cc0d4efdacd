import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from '../../postgres/pool.ts';
import type { CliContext } from '../cli-context.ts';
import { ATTACK_DETECTIONS, ATTACKED_PERSON } from './demo-attack.ts';

const LOOK_EVERY_MS = 2_000;

interface Alarm {
  readonly detection: string;
  readonly severity: string;
  /** Of the event, for the link. */
  readonly position: number;
  readonly summary: string;
}

export interface DemoAlarms {
  /** Looks a last time, and shows what has not been shown. */
  finish(): Promise<void>;
}

const readAlarms = async (pool: Pool, after: number): Promise<readonly Alarm[]> => {
  const { rows } = await pool.query<Alarm>(
    `select d.detection, d.severity, e.position::float8 as position, d.summary
     from detections d join audit_events e using (source_kind, source_id, id, action_time)
     where d.position > $1 and d.actor = $2 order by e.position, d.detection`,
    [after, ATTACKED_PERSON],
  );
  return rows;
};

const lineOf = ({ severity, detection, summary, position }: Alarm, consoleUrl: string): string =>
  `  ${severity.padEnd(7)} ${detection.padEnd(31)} ${consoleUrl}/events/${position}\n          ${summary}\n`;

/** Shows each alarm that the attack raises, with a link to its event, as soon as it is raised. `after`: the end of the feed before it. */
export const showDemoAlarms = (
  context: Pick<CliContext, 'stdout' | 'interactive'>,
  pool: Pool,
  { after, consoleUrl }: { readonly after: number; readonly consoleUrl: string },
): DemoAlarms => {
  const stop = new AbortController();
  const shown = new Set<string>();
  const look = async (): Promise<void> => {
    const alarms = (await readAlarms(pool, after)).filter(({ detection }) => !shown.has(detection));
    if (alarms.length === 0) return;
    const title = shown.size === 0 ? '\nDetections of an attack that is played in one of the accounts:\n' : '';
    for (const { detection } of alarms) shown.add(detection);
    // On a terminal, the line of progress is redrawn below.
    const above = context.interactive ? '\r\u001b[2K' : '';
    context.stdout.write(`${above}${title}${alarms.map((alarm) => lineOf(alarm, consoleUrl)).join('')}`);
  };
  const looking = (async () => {
    while (!stop.signal.aborted && shown.size < ATTACK_DETECTIONS.length) {
      // A database that does not answer is the daemon's to report.
      const beganAt = performance.now();
      await look().catch(() => {});
      // Bursts and sign-ins read a month: most of the machine is for the daemon.
      await sleep(Math.max(LOOK_EVERY_MS, 4 * (performance.now() - beganAt)), undefined, { signal: stop.signal }).catch(
        () => {},
      );
    }
  })();
  return {
    finish: async () => {
      if (stop.signal.aborted) return await looking;
      stop.abort();
      await looking;
      if (shown.size < ATTACK_DETECTIONS.length) await look();
    },
  };
};
