import type { Pool } from 'pg';
import type { Range } from '../planning/coverage.ts';
import type { SourceVerification } from './ports.ts';

/** Of so many sources the differences are kept one by one; of each so many ids. */
const MAX_SOURCES = 100;
const MAX_IDS = 5;
const MAX_FAILURE = 300;

/** A run of `verify` that has come to its end, or was stopped. */
export interface VerificationRun {
  readonly window: Range;
  readonly beganAt: Date;
  readonly fix: boolean;
  /** Who is said to have made it. */
  readonly by: string | undefined;
  readonly results: readonly SourceVerification[];
}

/** Keeps the result of a run (table checks). Rejects if the account may not. */
export const noteVerification = async (pool: Pool, run: VerificationRun): Promise<void> => {
  await pool.query('select orgtrail_note_verification($1::jsonb)', [JSON.stringify(runOf(run), storable)]);
};

/** PostgreSQL keeps neither NUL nor half a surrogate pair. */
const storable = (_key: string, value: unknown): unknown =>
  typeof value === 'string' ? value.toWellFormed().replaceAll('\0', '\ufffd') : value;

const runOf = ({ window, beganAt, fix, by, results }: VerificationRun) => {
  const sum = (of: (result: SourceVerification) => number): number => results.reduce((all, each) => all + of(each), 0);
  return {
    since: new Date(window.fromMs),
    before: new Date(window.toMs),
    beganAt,
    fixes: fix,
    by,
    counts: {
      sources: results.length,
      compared: sum(({ findings }) => findings.compared),
      missing: sum(({ findings }) => findings.missing.entries),
      extra: sum(({ findings }) => findings.extra),
      changed: sum(({ findings }) => findings.changed.entries),
      fixedMissing: sum(({ findings }) => findings.missing.fixed),
      fixedChanged: sum(({ findings }) => findings.changed.fixed),
      failed: sum(({ failure }) => Number(failure !== undefined)),
    },
    findings: results.filter(differs).slice(0, MAX_SOURCES).map(findingOf),
  };
};

const differs = ({ findings, failure }: SourceVerification): boolean =>
  findings.missing.entries + findings.extra + findings.changed.entries > 0 || failure !== undefined;

const findingOf = ({ source, findings, failure, comparedUntilMs }: SourceVerification) => ({
  kind: source.kind,
  id: source.id,
  missing: findings.missing.entries,
  extra: findings.extra,
  changed: findings.changed.entries,
  fixed: findings.missing.fixed + findings.changed.fixed,
  ids: [...findings.missing.ids, ...findings.changed.ids, ...findings.extraIds].slice(0, MAX_IDS),
  ...(failure === undefined
    ? {}
    : { failure: failure.slice(0, MAX_FAILURE), comparedUntil: new Date(comparedUntilMs) }),
});
