import { keyOf, type SourceKey } from '../ingest/planning/source.ts';
import type { Pool } from '../postgres/pool.ts';
import { behindAfterSeconds, pausesOf, vanishedOf } from './health.ts';
import type { SourceGroup } from './sources/source-groups.ts';
import { keysOfAccount, keysOfOrganization, organizationKeys } from './sources/source-keys.sql.ts';
import { isAccount, isOrganization, type OrganizationWithState, type SourceWithState } from './sources/source-owner.ts';
import { type AskingPace, type StatusWithStates, withState, withStates } from './sources/source-state.ts';
import {
  type AccountStatus,
  type OrganizationStatus,
  readFrame,
  readSources,
  readStatus,
  type Status,
} from './status.sql.ts';
import type { StatusScope } from './status-scope.sql.ts';
import { countShown, readSummary, type SummaryOptions } from './status-summary.sql.ts';

/** So many sources are shown each by itself. Of more, what they add up to, and as many of those that most need attention. */
export const MOST_EACH = 1_000;

/** What of many sources is named. */
interface Selection {
  /** Every source, however many. Default: no. */
  readonly all?: boolean | undefined;
  /** If there are too many to name all of them: no more than so many. Default: `MOST_EACH`. */
  readonly most?: number | undefined;
  /** The same: only those in these states. */
  readonly states?: readonly string[] | undefined;
}

/** The sources of one organization or account, among so many. */
interface SourcesOfOwner {
  readonly sources: readonly SourceWithState[];
  readonly among: number;
}

/** What metrics show of the status. */
export interface StatusFigures extends Omit<Status, 'sources' | 'gone'> {
  readonly organizations: readonly OrganizationStatus[];
  readonly accounts: AccountFigures;
}

/** Each account by itself, or if there are too many what those of each organization add up to. */
export type AccountFigures = { readonly each: readonly AccountStatus[] } | { readonly groups: readonly SourceGroup[] };

/** All of it rejects if the database does not answer. */
export interface StatusReader {
  /** How everything stands: with every source, or of more than `MOST_EACH` as `selection` says. */
  read(pace: AskingPace, selection?: Selection): Promise<StatusWithStates>;
  /** All organizations, however many sources there are. */
  organizations(pace: AskingPace): Promise<readonly OrganizationWithState[]>;
  ofOrganization(organizationId: string, pace: AskingPace): Promise<SourcesOfOwner>;
  ofAccount(accountId: string, pace: AskingPace): Promise<SourcesOfOwner>;
  figures(): Promise<StatusFigures>;
}

/** The status of the sources in `scope`. `mostEach`: more are not shown each by itself. */
export const createStatusReader = (pool: Pool, scope: StatusScope, mostEach = MOST_EACH): StatusReader => {
  const some = async (keys: Promise<readonly SourceKey[]>, pace: AskingPace): Promise<SourcesOfOwner> => {
    const [sources, { sources: among }] = await Promise.all([
      keys.then((wanted) => readSources(pool, scope, wanted)),
      countShown(pool, scope),
    ]);
    return { sources: sources.map((source) => withState(source, pausesOf(pace, among))), among };
  };
  return {
    read: async (pace, selection = {}) => {
      const { sources: among } = await countShown(pool, scope);
      if (selection.all === true || among <= mostEach) return withStates(await readStatus(pool, scope), pace);
      const { most = mostEach, states } = selection;
      const behindAfter = behindAfterSeconds(pausesOf(pace, pace.asked ?? among));
      return await readMany(pool, scope, { behindAfterSeconds: behindAfter, most, states });
    },
    organizations: async (pace) => (await some(organizationKeys(pool), pace)).sources.filter(isOrganization),
    ofOrganization: (organizationId, pace) => some(keysOfOrganization(pool, organizationId), pace),
    ofAccount: (accountId, pace) => some(keysOfAccount(pool, accountId), pace),
    figures: () => readFigures(pool, scope, mostEach),
  };
};

/** How everything stands, with those sources alone that most need attention. */
const readMany = async (pool: Pool, scope: StatusScope, options: SummaryOptions): Promise<StatusWithStates> => {
  const [{ gone, ...rest }, { groups, worst }] = await Promise.all([
    readFrame(pool, scope),
    readSummary(pool, scope, options),
  ]);
  const found = await readSources(pool, scope, worst);
  const byKey = new Map(found.map((source) => [keyOf(source), source]));
  const sources = worst.flatMap((named) => {
    const source = byKey.get(keyOf(named));
    // One that has gone since is no longer there; all others are in the state in which they were counted.
    return source === undefined ? [] : [{ ...source, state: named.state, firstReading: named.firstReading }];
  });
  const total = groups.reduce((sum, group) => sum + group.sources, 0);
  return { ...rest, vanished: vanishedOf(gone, total), sources, isWhole: false, groups };
};

const readFigures = async (pool: Pool, scope: StatusScope, mostEach: number): Promise<StatusFigures> => {
  const { accounts } = await countShown(pool, scope);
  if (accounts <= mostEach) {
    const { sources, gone: _, ...rest } = await readStatus(pool, scope);
    return { ...rest, organizations: sources.filter(isOrganization), accounts: { each: sources.filter(isAccount) } };
  }
  const [{ gone: _, ...rest }, organizations, { groups }] = await Promise.all([
    readFrame(pool, scope),
    organizationKeys(pool).then((keys) => readSources(pool, scope, keys)),
    // Of the states, metrics tell refused ones alone from others.
    readSummary(pool, scope, { behindAfterSeconds: Number.POSITIVE_INFINITY, most: 0 }),
  ]);
  return { ...rest, organizations: organizations.filter(isOrganization), accounts: { groups } };
};
