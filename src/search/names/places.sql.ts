import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { reasonOf } from '../../base/errors.ts';
import type { Geoip } from '../../base/geoip.ts';
import type { Time } from '../../base/time.ts';

const EVERY_MS = 5_000;
const STEP_ADDRESSES = 1_000;
const STEP_POSITIONS = 20_000;

interface Parts {
  readonly pool: Pool;
  readonly geoip: Geoip;
  readonly logger: Logger;
  readonly time: Pick<Time, 'sleep'>;
  readonly signal: AbortSignal;
}

/** Of events as they arrive, and of all again when a file changes. What cannot be read or written is logged once, and holds up nothing else. */
export const lookUpForever = async ({ pool, geoip, logger, time, signal }: Parts): Promise<void> => {
  const lookUp = addressLookup(pool, geoip, signal);
  let told: string | undefined;
  while (!signal.aborted) {
    const faults: string[] = [];
    for (const step of [geoip.refresh, lookUp]) await step().catch((error: unknown) => faults.push(reasonOf(error)));
    const reason = faults[0];
    if (reason !== undefined && reason !== told && !signal.aborted)
      logger.warn({ reason }, 'addresses are not looked up; events are still collected');
    if (reason === undefined && told !== undefined) logger.info('addresses are looked up again');
    told = reason;
    await time.sleep(EVERY_MS, signal).catch(() => {});
  }
};

/** Replicas may do the same at once: each statement says what is so. */
export const addressLookup = (pool: Pool, geoip: Geoip, signal: AbortSignal) => {
  /** Else replicas with different files would begin again without end. */
  let done: string | undefined;
  return async (): Promise<void> => {
    const files = geoip.files();
    if (files === undefined) return;
    const { rows } = await pool.query<{ files: string }>('select files from place_head');
    const [head] = rows;
    if (head === undefined || (head.files !== files && done !== files)) await lookUpAll(pool, geoip, files, signal);
    done = files;
    await lookUpNew(pool, geoip, signal);
  };
};

/** Goes from address to address by an index, whatever the number of events. */
const nextAddresses = `
  with recursive known as (
    (select actor_ip_address as address, 1 as n from audit_events where actor_ip_address ~>~ $1
     order by actor_ip_address using ~<~ limit 1)
    union all
    select (select e.actor_ip_address from audit_events e where e.actor_ip_address ~>~ known.address
      order by e.actor_ip_address using ~<~ limit 1), n + 1
    from known where known.address is not null and n < ${STEP_ADDRESSES})
  select address from known where address is not null`;

const lookUpAll = async (pool: Pool, geoip: Geoip, files: string, signal: AbortSignal): Promise<void> => {
  const { rows } = await pool.query<{ position: string; begun: string }>(
    'select position, clock_timestamp()::text as begun from feed_head',
  );
  for (let addresses = ['']; addresses.length > 0; ) {
    signal.throwIfAborted();
    const found = await pool.query<{ address: string }>(nextAddresses, [addresses.at(-1)]);
    addresses = found.rows.map(({ address }) => address);
    await pool.query(`${noted} select`, placesOf(geoip, addresses));
  }
  // What no event has any more is not kept.
  await pool.query(
    `with gone as (delete from address_places where looked_at < $3::timestamptz)
     insert into place_head (position, files) values ($1, $2)
     on conflict (only_row) do update set position = excluded.position, files = excluded.files`,
    [rows[0]?.position ?? 0, files, rows[0]?.begun],
  );
};

const lookUpNew = async (pool: Pool, geoip: Geoip, signal: AbortSignal): Promise<void> => {
  for (;;) {
    signal.throwIfAborted();
    const { rows } = await pool.query<{ until: string; addresses: (string | null)[] }>(`
      with step as (
        select p.position as after, least(h.position, (select e.position - 1 + ${STEP_POSITIONS} from audit_events e
          where e.position > p.position order by e.position limit 1)) as until
        from place_head p cross join feed_head h where p.position < h.position)
      select until, array(select distinct e.actor_ip_address from audit_events e where e.position > after and e.position <= until
        and not exists (select from address_places p where p.address = e.actor_ip_address)) as addresses
      from step`);
    const [step] = rows;
    if (step === undefined) return;
    const addresses = step.addresses.filter((address) => address !== null);
    await pool.query(`${noted} update place_head set position = $5 where position < $5`, [
      ...placesOf(geoip, addresses),
      step.until,
    ]);
  }
};

/** $1 to $4. */
const noted = `with noted as (
  insert into address_places (address, country, asn, network)
  select * from unnest($1::text[], $2::text[], $3::text[], $4::text[])
  on conflict (address) do update set country = excluded.country, asn = excluded.asn, network = excluded.network, looked_at = excluded.looked_at)`;

const placesOf = (geoip: Geoip, addresses: readonly string[]): (string | null)[][] => {
  const found = addresses.flatMap((address) => {
    const place = geoip.placeOf(address);
    return place === undefined ? [] : [{ address, ...place }];
  });
  return (['address', 'country', 'asn', 'network'] as const).map((name) => found.map((place) => place[name]));
};
