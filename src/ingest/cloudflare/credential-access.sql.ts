import type { Pool } from 'pg';
import type { SourceKey } from '../planning/source.ts';
import { kindOf } from '../sources/registry.ts';
import type { CredentialFacts } from './credentials.ts';

/** The name that stands for a null `credential` of a source. */
const FIRST_CREDENTIAL = 'default';
const SCOPE = 'credential:';
const FRESH_MS = 15_000;

export interface StoredFacts extends CredentialFacts {
  /** Reads them again if they are older than 15 s: other replicas list and read, too. `now`: always. */
  refresh(now?: boolean): Promise<void>;
  /** Stores who has read the source, if that is news. No name: there is one credential alone. */
  hasRead(reader: { readonly name?: string; readonly key: string }, source: SourceKey): Promise<void>;
  hasListed(name: string, owner: 'organization' | 'account', shown: readonly { readonly id: string }[]): void;
  readsOrganizations(name: string): boolean;
}

/** `nowMs` never goes back. `names`: of the credentials, by their keys. */
export const createStoredFacts = (
  pool: Pool,
  nowMs: () => number,
  names: () => ReadonlyMap<string, string>,
): StoredFacts => {
  let readers = new Map<string, string>();
  let reads = new Map<string, number>();
  let readerKeys = new Map<string, string | null>();
  let organizationReaders: ReadonlySet<string> = new Set();
  let accounts = createListed();
  const organizations = createListed();
  let readAtMs = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | undefined;
  const read = async (): Promise<void> => {
    const startMs = nowMs();
    const stored = await readFacts(pool);
    readers = new Map(stored.readers.map((row) => [keyOf(row), row.credential]));
    reads = new Map();
    for (const { credential } of stored.readers) reads.set(credential, (reads.get(credential) ?? 0) + 1);
    readerKeys = new Map(stored.readers.map((row) => [keyOf(row), row.reader]));
    organizationReaders = new Set(stored.readers.flatMap((row) => (row.of_organization ? [row.credential] : [])));
    accounts = createListed();
    const nameOf = names();
    // Until version 0.2 the name itself was the key.
    for (const { account_id, key } of stored.listed) accounts.add(nameOf.get(key) ?? key, account_id);
    readAtMs = startMs;
  };
  const listersOf = (source: SourceKey): ReadonlySet<string> =>
    (kindOf(source).owner === 'account' ? accounts : organizations).listers(source.id);
  return {
    refresh: async (now = false) => {
      const isKnown = readAtMs !== Number.NEGATIVE_INFINITY;
      if (!now && nowMs() - readAtMs < FRESH_MS) return;
      reading ??= read().finally(() => {
        reading = undefined;
      });
      // For tens of thousands of sources it takes a while: requests go on with what is known.
      if (now || !isKnown) await reading;
      else reading.catch(() => {});
    },
    lists: (name, source) => listersOf(source).has(name),
    listers: listersOf,
    onlyAccount: (name) => accounts.only(name),
    reader: (source) => readers.get(keyOf(source)),
    reads: (name) => reads.get(name) ?? 0,
    hasRead: async ({ name, key }, source) => {
      if (readAtMs === Number.NEGATIVE_INFINITY) await read();
      const known = keyOf(source);
      if (readerKeys.get(known) === key && (name === undefined || readers.get(known) === name)) return;
      await pool.query(
        `update sources set reader = $4, credential = coalesce($3, credential)
         where kind = $1 and id = $2 and (reader is distinct from $4 or credential is distinct from coalesce($3, credential))`,
        [source.kind, source.id, name ?? null, key],
      );
      readerKeys.set(known, key);
      if (name === undefined) return;
      if (!readers.has(known)) reads.set(name, (reads.get(name) ?? 0) + 1);
      readers.set(known, name);
    },
    hasListed: (name, owner, shown) => {
      const listed = owner === 'account' ? accounts : organizations;
      for (const { id } of shown) listed.add(name, id);
    },
    readsOrganizations: (name) => organizationReaders.has(name),
  };
};

interface ReaderRow extends SourceKey {
  readonly credential: string;
  readonly reader: string | null;
  readonly of_organization: boolean;
}

const readFacts = async (pool: Pool) => {
  const readers = await pool.query<ReaderRow>(
    `select s.kind, s.id, coalesce(s.credential, $1) as credential, s.reader, o.id is not null as of_organization
     from sources s left join organizations o on o.id = s.organization_id and o.state <> 'gone'
     where s.credential is not null or exists (
       select from lanes l where l.source_kind = s.kind and l.source_id = s.id and l.last_success_at is not null)`,
    [FIRST_CREDENTIAL],
  );
  const listed = await pool.query<{ account_id: string; key: string }>(
    'select account_id, substr(scope, $2) as key from account_organizations where scope like $1 and missed = 0',
    [`${SCOPE}%`, SCOPE.length + 1],
  );
  return { readers: readers.rows, listed: listed.rows };
};

const keyOf = ({ kind, id }: SourceKey): string => `${kind}/${id}`;

/** Who lists what, by id. */
export const createListed = () => {
  const listers = new Map<string, Set<string>>();
  /** Of those that list several, undefined. */
  const only = new Map<string, string | undefined>();
  return {
    add: (name: string, id: string): void => {
      const names = listers.get(id) ?? new Set<string>();
      listers.set(id, names.add(name));
      only.set(name, !only.has(name) || only.get(name) === id ? id : undefined);
    },
    listers: (id: string): ReadonlySet<string> => listers.get(id) ?? none,
    only: (name: string): string | undefined => only.get(name),
  };
};

const none: ReadonlySet<string> = new Set();
