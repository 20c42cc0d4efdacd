import { and, desc, gt, isNull, or } from 'drizzle-orm';
import type { Pool } from 'pg';
import { db, type Row } from '../../postgres/queries.ts';
import { databaseTime } from '../../postgres/tables/column-types.ts';
import { detectionMutes } from '../../postgres/tables/events.ts';

const columns = {
  id: detectionMutes.id,
  detection: detectionMutes.detection,
  /** Null: findings of all actors. */
  actor: detectionMutes.actor,
  reason: detectionMutes.reason,
  /** Null: until it is ended. */
  mutedUntil: detectionMutes.mutedUntil,
  createdBy: detectionMutes.createdBy,
  createdAt: detectionMutes.createdAt,
};

export type DetectionMute = Row<typeof columns>;

export interface WantedMute {
  readonly detection: string;
  /** Undefined: of all actors. */
  readonly actor: string | undefined;
  readonly reason: string;
  /** Undefined: until it is ended. */
  readonly forDays: number | undefined;
  readonly by: string;
}

/** No rule of the misuse of the collector's own token: its account may call the function. */
export const canBeMuted = (detection: string): boolean => detection !== 'collector_token';

const isInForce = and(
  isNull(detectionMutes.endedAt),
  or(isNull(detectionMutes.mutedUntil), gt(detectionMutes.mutedUntil, databaseTime)),
);

/** Those in force, the newest first. */
export const readMutes = async (pool: Pool): Promise<readonly DetectionMute[]> =>
  await db(pool).select(columns).from(detectionMutes).where(isInForce).orderBy(desc(detectionMutes.id));

/** Its number; undefined if the same is muted already. Rejects if the database refuses it: no reason, no person, too many. */
export const muteDetection = async (
  pool: Pool,
  { detection, actor, reason, forDays, by }: WantedMute,
): Promise<number | undefined> => {
  const { rows } = await pool.query<{ id: number | null }>(
    'select orgtrail_mute_detection($1, $2, $3, clock_timestamp() + make_interval(days => $4), $5)::float8 as id',
    [detection, actor ?? null, reason, forDays ?? null, by],
  );
  return rows[0]?.id ?? undefined;
};

/** Ends it; its row stays. False if there is none of this number in force. */
export const unmuteDetection = async (pool: Pool, id: number, by: string): Promise<boolean> => {
  const { rows } = await pool.query<{ ended: boolean }>('select orgtrail_unmute_detection($1, $2) as ended', [id, by]);
  return rows[0]?.ended === true;
};
