import type { Pool } from 'pg';
import { commit, entryText, takeLease } from '../../test/support/postgres/store-fixture.ts';
import type { SeedWorld } from './archive-world.ts';

/** Does something to the objects of months that are still in the database: of what was dropped there is no other copy. Says what. */
export const tamper = async (
  { owner, bucket }: SeedWorld,
  random: () => number,
  folder = 'v1',
): Promise<string | undefined> => {
  const { rows } = await owner.query<{ key: string }>(
    'select key from archive_objects where dropped_at is not null union all select null where false',
  );
  const gone = new Set(rows.map(({ key }) => key));
  const { keys } = await bucket.list({ folder });
  const open = keys.filter((key) => !gone.has(key));
  const key = open[Math.floor(random() * open.length)];
  if (key === undefined) return undefined;
  const bytes = (await bucket.get(key))?.bytes ?? Buffer.alloc(0);
  const kind = Math.floor(random() * 5);
  if (kind === 0) {
    await bucket.put(key, bytes.subarray(0, Math.floor(random() * bytes.length)));
    return `cut ${key}`;
  }
  if (kind === 1) {
    const other = open[Math.floor(random() * open.length)] ?? key;
    await bucket.put(key, (await bucket.get(other))?.bytes ?? bytes);
    return `swapped ${key} for ${other}`;
  }
  if (kind === 2) {
    const at = Math.floor(random() * bytes.length);
    const altered = Buffer.from(bytes);
    if (altered.length > 0) altered.writeUInt8(altered.readUInt8(at) ^ 0x10, at);
    await bucket.put(key, altered);
    return `altered ${key} at ${at}`;
  }
  // The client of orgtrail cannot delete; an empty object is as much of one.
  await bucket.put(key, Buffer.alloc(0));
  return `emptied ${key}`;
};

/** An event, or a later content of one, that comes when its month may be in the archive already. Says what. */
export const addLate = async (owner: Pool, random: () => number, name: string): Promise<string | undefined> => {
  const { rows } = await owner.query<{ month: string }>(
    "select distinct to_char(action_time at time zone 'UTC', 'YYYY-MM') as month from audit_events order by 1",
  );
  const month = rows[Math.floor(random() * rows.length)]?.month;
  if (month === undefined) return undefined;
  const fromMs = Date.parse(`${month}-03T00:00:00Z`);
  const isChange = random() < 0.4;
  const id = isChange ? `${month}-${Math.floor(random() * 40)}` : `late-${name}`;
  await commit(owner, await takeLease(owner, 'o'), [entryText(id, fromMs + 3_600_000, { late: name })]);
  return `${isChange ? 'changed' : 'added'} ${id} of ${month}`;
};
