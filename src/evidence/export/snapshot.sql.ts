import type { Pool, PoolClient } from 'pg';
import { OrgtrailError } from '../../base/errors.ts';
import { inTransaction } from '../../postgres/pool.ts';
import { everyKey, keyHistory } from '../append/keys-in-force.ts';
import { EvidenceFault, unlessFault } from '../bytes.ts';
import { type Policy, policyOfKeys, type Witness, writePolicy } from '../notes/policy.ts';
import { parseVerifierKey, printVerifierKey, type VerifierKey, whoSigned } from '../notes/signed-note.ts';

/** Checkpoints that belong together, as of one moment. */
export interface ExportedLogs {
  readonly generation: number;
  readonly state: 'building' | 'ok' | 'behind' | 'forked' | 'halted' | 'ended';
  readonly stateReason: string | null;
  readonly adopted: number;
  readonly head: number;
  readonly events: ExportedLog;
  readonly journal: ExportedLog;
  /** In RFC 3339. */
  readonly at: string;
  readonly serverVersion: string;
  /** Months that are gone without a signed statement. */
  readonly unstatedDrops: number;
}

interface ExportedLog {
  readonly origin: string;
  readonly size: number;
  readonly note: string;
  readonly madeAt: string;
}

export type NothingToExport = 'no log' | 'no checkpoint';

/** All statements see one moment. Locked before the snapshot, so no month is dropped meanwhile: retention tries again later. */
export const withSnapshot = async <T>(
  pool: Pool,
  { signal }: { readonly signal?: AbortSignal | undefined },
  use: (client: PoolClient, logs: ExportedLogs | NothingToExport) => Promise<T>,
): Promise<T> =>
  await inTransaction(
    pool,
    async (client) => {
      await client.query('set transaction isolation level repeatable read read only');
      await client.query('lock table audit_events in access share mode');
      return await use(client, await readLogs(client));
    },
    signal,
  );

const instant = (value: string): string => `to_char(${value} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

/**
 * The last signed checkpoint of the journal, and the last of the events that goes with it: large enough for every statement,
 * and no larger than the stated sources allow. (They are signed one after the other.)
 */
const logsQuery = `
with e as (
  select * from evidence_logs where name = 'events' order by generation desc limit 1
), j as (
  select l.origin, c.size, c.note, c.made_at from e join evidence_logs l on l.name = 'journal' and l.generation = e.generation
    left join lateral (select size, note, made_at from evidence_checkpoints c where c.log = 'journal' and c.generation = l.generation
      order by c.size desc limit 1) as c on true
), bounds as (
  select
    (select substring(s.text from '"size":(\\d+)')::bigint from evidence_journal s, e
     where s.generation = e.generation and s.index = j.size - 1) as least,
    (select substring(s.text from '"size":(\\d+)')::bigint from evidence_journal s, e
     where s.generation = e.generation and s.kind = 'source' and s.index >= j.size order by s.index limit 1) as most
  from j
), c as (
  select c.size, c.note, c.made_at from evidence_checkpoints c, e, bounds
  where c.log = 'events' and c.generation = e.generation
    and c.size >= coalesce(least, 0) and c.size <= coalesce(most, c.size)
  order by c.size desc limit 1
)
select e.generation, case when e.ended_at is null then e.state else 'ended' end as state,
  case when e.ended_at is null then e.state_reason else e.ended_reason end as "stateReason", e.adopted_size::float8 as adopted,
  e.origin as "eventsOrigin", c.size::float8 as "eventsSize", c.note as "eventsNote", ${instant('c.made_at')} as "eventsAt",
  j.origin as "journalOrigin", j.size::float8 as "journalSize", j.note as "journalNote", ${instant('j.made_at')} as "journalAt",
  (select h.position from feed_head h)::float8 as head,
  ${instant('clock_timestamp()')} as at, current_setting('server_version') as "serverVersion",
  (select count(*) from retention_drops d where d.positions is not null and not exists (
     select from evidence_journal s where s.generation = e.generation and s.kind = 'drop' and s.ref = d.id || '/1'
       and s.index < j.size))::integer as "unstatedDrops"
from e cross join j left join c on true`;

type LogsRow = Omit<ExportedLogs, 'events' | 'journal'> & {
  readonly [Field in `${'events' | 'journal'}${'Origin' | 'Note' | 'At'}`]: string;
} & { readonly [Field in `${'events' | 'journal'}Size`]: number | null };

const readLogs = async (client: PoolClient): Promise<ExportedLogs | NothingToExport> => {
  const { rows } = await client.query<LogsRow>(logsQuery);
  const [row] = rows;
  if (row === undefined) return 'no log';
  const { eventsOrigin, eventsSize, eventsNote, eventsAt, ...others } = row;
  const { journalOrigin, journalSize, journalNote, journalAt, ...rest } = others;
  if (eventsSize === null || journalSize === null) return 'no checkpoint';
  return {
    ...rest,
    events: { origin: eventsOrigin, size: eventsSize, note: eventsNote, madeAt: eventsAt },
    journal: { origin: journalOrigin, size: journalSize, note: journalNote, madeAt: journalAt },
  };
};

/** policy.txt: the keys that signed these notes. While two keys sign it has both. `origin`: those of one log. */
export const bundlePolicy = (
  statements: readonly string[],
  own: readonly VerifierKey[],
  {
    notes,
    origin,
    witnesses = [],
  }: { readonly notes: readonly string[]; readonly origin?: string; readonly witnesses?: readonly Witness[] },
): { readonly text: string; readonly vkeys: readonly string[]; readonly policy: Policy } => {
  const keys = new Map([...own, ...statements.flatMap(keysOf)].map((key) => [printVerifierKey(key), key]));
  const logs = whoSigned(
    notes,
    [...keys.values()].filter(({ name }) => origin === undefined || name === origin),
  );
  const policy = policyOfKeys(logs, witnesses);
  return { text: writePolicy(logs, witnesses, 0), vkeys: logs.map(printVerifierKey), policy };
};

/** None of a statement that the verifier will refuse. */
const keysOf = (text: string): VerifierKey[] =>
  unlessFault(() => everyKey(keyHistory([text])).map(parseVerifierKey)) ?? [];

/** A stored log that is damaged is no evidence. */
export const orFails = <T>(read: () => T): T => {
  const fail = (error: unknown): never => {
    if (error instanceof EvidenceFault) throw new OrgtrailError('evidence_fails', error.message, { cause: error });
    throw error;
  };
  try {
    const value = read();
    return value instanceof Promise ? (value.catch(fail) as T) : value;
  } catch (error) {
    return fail(error);
  }
};

export const requireLogs = (found: ExportedLogs | NothingToExport): ExportedLogs => {
  if (found === 'no log') {
    throw new OrgtrailError('usage', 'there is no evidence in this database', {
      hint: 'docs/evidence.md says how to begin',
    });
  }
  if (found === 'no checkpoint') {
    throw new OrgtrailError('usage', 'no checkpoint is signed yet', {
      hint: 'the daemon signs one once it builds: orgtrail evidence status',
    });
  }
  return found;
};
