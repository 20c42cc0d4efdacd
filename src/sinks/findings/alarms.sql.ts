import type { Pool } from 'pg';
import { type FoundEvent, ownFinding, type Severity } from './finding.ts';

export interface Alarm {
  /** The same for the same trouble: noted twice, it is one alarm. */
  readonly alarm: string;
  readonly severity: Severity;
  readonly summary: string;
}

/** Sets where new sinks of alarms begin; no others are sent alarms. The sinks must be registered. */
export const registerAlarmSinks = async (
  pool: Pool,
  sinks: readonly { readonly name: string; readonly start: 'beginning' | 'now' }[],
): Promise<void> => {
  await pool.query('select orgtrail_register_alarm_sinks($1, $2)', [
    sinks.map(({ name }) => name),
    sinks.map(({ start }) => start),
  ]);
};

/** Of all that is wrong now: opens what has lasted for `afterMs`, resolves what is over. */
export const noteAlarms = async (pool: Pool, alarms: readonly Alarm[], afterMs: number): Promise<void> => {
  await pool.query('select orgtrail_note_alarms($1, $2, $3, $4)', [
    alarms.map(({ alarm }) => alarm),
    alarms.map(({ severity }) => severity),
    alarms.map(({ summary }) => summary),
    afterMs,
  ]);
};

export const readAlarmCursor = async (pool: Pool, sink: string): Promise<number> => {
  const { rows } = await pool.query<{ number: number }>('select number::float8 from alarm_cursors where sink = $1', [
    sink,
  ]);
  if (rows[0] === undefined) throw new Error(`the sink ${sink} is not in the database: a restart puts it there`);
  return rows[0].number;
};

export const hasAlarmChanges = async (pool: Pool, after: number): Promise<boolean> => {
  const { rowCount } = await pool.query('select from alarm_changes where number > $1 limit 1', [after]);
  return (rowCount ?? 0) > 0;
};

type Texts = Readonly<Record<'alarm' | 'severity' | 'summary' | 'at' | 'feedId', string>>;
type Change = Texts & Readonly<{ number: number; opened: number; state: 'open' | 'resolved' }>;

/** As findings whose position is the number of the change. */
export const readAlarmChanges = async (
  pool: Pool,
  range: { readonly after: number; readonly maxEvents: number },
): Promise<readonly FoundEvent[]> => {
  const { rows } = await pool.query<Change>(
    `select number::float8, alarm, coalesce(opened, number)::float8 as opened, state, severity, summary,
       to_char(changed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at, (select feed_id from feed_head) as "feedId"
     from alarm_changes where number > $1 order by number limit $2`,
    [range.after, range.maxEvents],
  );
  return rows.map(alarmEvent);
};

const alarmEvent = ({ number, alarm, opened, state, severity, summary, at, feedId }: Change): FoundEvent =>
  ownFinding(
    // Of this database: several installations may tell one receiver.
    { position: number, feedId, sourceId: feedId, id: `${alarm}-${opened}-${state}`, at },
    { detection: alarm, severity, alarm: { state, opened }, summary },
  );

/** Notes delivery up to this number. False if the turn is over. */
export const finishOwn = async (
  pool: Pool,
  stream: 'alarms' | 'searches',
  turn: { readonly name: string; readonly epoch: number },
  result: { readonly until: number; readonly accepted: number },
  leaseMs: number,
): Promise<boolean> => {
  const values = [turn.name, turn.epoch, result.until, result.accepted, leaseMs];
  const name = stream === 'alarms' ? 'orgtrail_finish_alarms' : 'orgtrail_finish_search_matches';
  const statement = `select ${name}($1, $2, $3, $4, $5) as held`;
  const { rows } = await pool.query<{ held: boolean }>(statement, values);
  return rows[0]?.held === true;
};
