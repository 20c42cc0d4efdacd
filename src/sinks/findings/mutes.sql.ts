import { and, desc, gt, isNotNull, isNull, or } from 'drizzle-orm';
import type { Pool } from 'pg';
import { db, type Row } from '../../postgres/queries.ts';
import { databaseTime } from '../../postgres/tables/column-types.ts';
import { detectionMutes } from '../../postgres/tables/events.ts';

const columns = {
  id: detectionMutes.id,
  detection: detectionMutes.detection,
  /** Null: all actors. */
  actor: detectionMutes.actor,
  reason: detectionMutes.reason,
  /** Null: until it is ended. */
  mutedUntil: detectionMutes.mutedUntil,
  /** Of an acknowledgement: only what was found up to this position. */
  upToPosition: detectionMutes.upToPosition,
  createdBy: detectionMutes.createdBy,
  createdAt: detectionMutes.createdAt,
};

export type DetectionMute = Row<typeof columns>;

/** `actor` undefined: all actors. `forDays` undefined: until it is ended. */
export type WantedMute = Readonly<Record<'detection' | 'reason' | 'by', string>> &
  Readonly<{ actor: string | undefined; forDays: number | undefined }>;

/** Not the misuse of the collector's own token, whose account may call the function. */
export const canBeMuted = (detection: string): boolean => detection !== 'collector_token';

const isInForce = and(
  isNull(detectionMutes.endedAt),
  or(
    isNotNull(detectionMutes.upToPosition),
    isNull(detectionMutes.mutedUntil),
    gt(detectionMutes.mutedUntil, databaseTime),
  ),
);

/** In force, newest first. */
export const readMutes = async (pool: Pool): Promise<readonly DetectionMute[]> =>
  await db(pool).select(columns).from(detectionMutes).where(isInForce).orderBy(desc(detectionMutes.id));

/** Returns its number; undefined if already muted. Rejects if the database refuses: no reason, no person, too many. */
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

/** `seen`: the head of the feed when the list was read. Returns its number; rejects as above. */
export const acknowledgeDetection = async (
  pool: Pool,
  { detection, actor, seen, reason, by }: Omit<WantedMute, 'forDays'> & { readonly seen: number },
): Promise<number> => {
  const values = [detection, actor ?? null, seen, reason, by];
  const { rows } = await pool.query<{ id: number }>(
    'select orgtrail_acknowledge_detection($1, $2, $3, $4, $5)::float8 as id',
    values,
  );
  return rows[0]?.id ?? 0;
};

/** Its row stays. False if none of this number is in force. */
export const unmuteDetection = async (pool: Pool, id: number, by: string): Promise<boolean> => {
  const { rows } = await pool.query<{ ended: boolean }>('select orgtrail_unmute_detection($1, $2) as ended', [id, by]);
  return rows[0]?.ended === true;
};
