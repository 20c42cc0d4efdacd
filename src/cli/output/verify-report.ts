import { exitCodes } from '../../base/errors.ts';
import { alignColumns, counted, printable } from '../../base/text.ts';
import { formatDuration } from '../../base/time.ts';
import type { Range } from '../../ingest/planning/coverage.ts';
import { keyOf, type SourceKey } from '../../ingest/planning/source.ts';
import { kindOf } from '../../ingest/sources/registry.ts';
import type { Findings, SourceVerification, VerifyOptions } from '../../ingest/verify/comparison.ts';
import type { VerifyScope } from '../../ingest/verify/verify.ts';
import { totalsOf } from '../../ingest/verify/verify-store.sql.ts';
import type { CliContext } from '../command.ts';
import { countedSources, drawLine } from './terminal.ts';

/** Per kind and organization; the JSON has more. */
const SHOWN_IDS = 5;

export interface VerifyOutcome {
  readonly window: Range;
  readonly scope: VerifyScope;
  readonly results: readonly SourceVerification[];
  /** Before this, all passes are due: what is missing is not just late. */
  readonly settledUntilMs: number;
  /** By the key of the source. */
  readonly names: ReadonlyMap<string, string>;
  readonly fix: boolean;
  /** Rows for every organization, not only those with a difference or a failure. */
  readonly all: boolean;
}

/** 0 if everything was compared and nothing is missing or changed, or all is fixed. */
export const exitCodeOf = (outcome: VerifyOutcome): number => {
  const { missing, changed, fixedMissing, fixedChanged, failed } = totalsOf(outcome.results);
  const left = missing - fixedMissing + changed - fixedChanged;
  return left + failed + outcome.scope.unknown.length === 0 ? exitCodes.done : exitCodes.sourceFailed;
};

/** A contract. */
export const toJson = (outcome: VerifyOutcome) => ({
  since: new Date(outcome.window.fromMs).toISOString(),
  before: new Date(outcome.window.toMs).toISOString(),
  organizations: outcome.results.length - accountsOf(outcome).length,
  ...totalsOf(outcome.results),
  unknownOrganizations: outcome.scope.unknown,
  listingRefused: outcome.scope.listingRefused,
  sources: inOrder(outcome).map(({ source, findings, ...result }) => ({
    organizationId: source.organizationId,
    organizationName: outcome.names.get(keyOf({ kind: 'organization', id: source.organizationId ?? '' })) ?? null,
    compared: findings.compared,
    missing: findings.missing.entries,
    extra: findings.extra,
    changed: findings.changed.entries,
    fixedMissing: findings.missing.fixed,
    fixedChanged: findings.changed.fixed,
    storedUnderOtherFilters: result.otherFilters,
    unreadSeconds: result.unreadMs / 1_000,
    comparedUntil: new Date(result.comparedUntilMs).toISOString(),
    failure: result.failure ?? null,
    missingIds: findings.missing.ids,
    extraIds: findings.extraIds,
    changedIds: findings.changed.ids,
    ...(isAccountSource(source)
      ? { sourceKind: source.kind, accountId: source.id, accountName: outcome.names.get(keyOf(source)) ?? null }
      : {}),
  })),
  ...(accountsOf(outcome).length === 0 ? {} : { accounts: accountsOf(outcome).length }),
});

const isAccountSource = ({ kind }: { readonly kind: string }): boolean => kindOf({ kind }).owner === 'account';

const accountsOf = ({ results }: VerifyOutcome): readonly SourceVerification[] =>
  results.filter(({ source }) => isAccountSource(source));

export const toText = (outcome: VerifyOutcome): string => {
  const lines = [
    ...table(outcome),
    ...inOrder(outcome).flatMap((result) => differences(result, outcome)),
    ...notes(outcome),
  ];
  return [...lines, summary(outcome)].map((line) => `${line}\n`).join('');
};

const differs = ({ findings, otherFilters, failure }: SourceVerification): boolean =>
  findings.missing.entries + findings.extra + findings.changed.entries + otherFilters > 0 || failure !== undefined;

const inOrder = ({ results }: VerifyOutcome): readonly SourceVerification[] =>
  results.toSorted(
    (a, b) =>
      Number(isAccountSource(a.source)) - Number(isAccountSource(b.source)) || (a.source.id < b.source.id ? -1 : 1),
  );

const table = (outcome: VerifyOutcome): string[] => {
  const shown = inOrder(outcome).filter((result) => outcome.all || differs(result));
  if (shown.length === 0) return [];
  const mixed = shown.some(({ source }) => isAccountSource(source));
  return alignColumns([
    [...(mixed ? ['KIND', 'ID'] : ['ORGANIZATION']), 'NAME', 'COMPARED', 'MISSING', 'EXTRA', 'CHANGED'],
    ...shown.map(({ source, findings }) => [
      ...(mixed ? [source.kind] : []),
      source.id,
      printable(outcome.names.get(keyOf(source)) ?? '-', 28),
      count(findings.compared),
      count(findings.missing.entries),
      count(findings.extra),
      count(findings.changed.entries),
    ]),
  ]);
};

const differences = (
  { source, findings, otherFilters, unreadMs, comparedUntilMs, failure }: SourceVerification,
  { names }: VerifyOutcome,
) => {
  const id = printable(source.id, 64);
  const kind = isAccountSource(source) ? 'account ' : '';
  const of = `${kind}${id}`;
  const name = names.get(keyOf(source));
  const named = name === undefined ? of : `${kind}${printable(name, 28)} (${id})`;
  const lines: string[] = [];
  const say = (what: string, entries: number, ids: readonly string[]) => {
    if (entries === 0) return;
    const more = entries > SHOWN_IDS ? ', …' : '';
    lines.push(
      `${what} in ${of}: ${ids
        .slice(0, SHOWN_IDS)
        .map((id) => printable(id, 80))
        .join(', ')}${more}`,
    );
  };
  say('missing', findings.missing.entries, findings.missing.ids);
  say('extra', findings.extra, findings.extraIds);
  say('changed', findings.changed.entries, findings.changed.ids);
  if (otherFilters > 0) {
    lines.push(`${count(otherFilters)} entries of ${of} are not served under these filters; they may be of other ones`);
  }
  if (unreadMs > 0 && findings.missing.entries > 0) {
    lines.push(
      `of ${of}, ${formatDuration(unreadMs)} of this time had not been read before: run, sync or backfill reads it`,
    );
  }
  if (failure !== undefined) {
    lines.push(
      `failed: ${named}, compared only up to ${new Date(comparedUntilMs).toISOString()}: ${printable(failure, 200)}`,
    );
  }
  return lines;
};

const notes = ({ window, scope, settledUntilMs }: VerifyOutcome): string[] => {
  const lines: string[] = [];
  if (scope.unknown.length > 0) {
    lines.push(`nothing is stored of ${scope.unknown.join(', ')}: run or sync reads organizations that are new`);
  }
  if (scope.listingRefused) {
    lines.push(
      'note: the credential may not list organizations; those that the database does not know were not checked',
    );
  }
  if (window.toMs > settledUntilMs) {
    const from = new Date(Math.max(window.fromMs, settledUntilMs)).toISOString();
    lines.push(`note: from ${from} on, the last settle pass is not due yet; it may find what is missing there`);
  }
  return lines;
};

const summary = (outcome: VerifyOutcome): string => {
  const totals = totalsOf(outcome.results);
  const { compared, missing, extra, changed, fixedMissing, fixedChanged, failed } = totals;
  const [since, before] = [outcome.window.fromMs, outcome.window.toMs].map((ms) => new Date(ms).toISOString());
  const fixed = outcome.fix ? ` (fixed: ${count(fixedMissing)} missing, ${count(fixedChanged)} changed)` : '';
  const failures = outcome.results.flatMap(({ source, failure }) => (failure === undefined ? [] : [source]));
  const trouble = failed === 0 ? '' : `; ${countedSources(failures)} failed`;
  return (
    `compared ${count(compared)} ${compared === 1 ? 'entry' : 'entries'} of ${countedSources(outcome.results.map(({ source }) => source))}, ${since} to ${before}: ` +
    `${count(missing)} missing, ${count(extra)} extra, ${count(changed)} changed${fixed}${trouble}`
  );
};

const count = (value: number): string => value.toLocaleString('en');

export const showVerifyProgress = (
  context: Pick<CliContext, 'stdout' | 'interactive'>,
  sources: readonly SourceKey[],
): Pick<VerifyOptions, 'onPage' | 'onSource'> & { readonly finish: () => void } => {
  const startedAt = performance.now();
  const all = new Set<Findings>();
  let done = 0;
  let read = 0;
  const line = (): string => {
    const sum = { compared: 0, missing: 0, changed: 0, extra: 0 };
    for (const findings of all) {
      sum.compared += findings.compared;
      sum.missing += findings.missing.entries;
      sum.changed += findings.changed.entries;
      sum.extra += findings.extra;
    }
    return [
      `${done.toLocaleString('en')} of ${counted(sources.length, 'log')}`,
      `${read.toLocaleString('en')} entries read`,
      ...Object.entries(sum).map(([name, count]) => `${count.toLocaleString('en')} ${name}`),
      formatDuration(performance.now() - startedAt),
    ].join(' · ');
  };
  const { draw, finish } = drawLine(context, line);
  return {
    onPage: (_source, entries, findings) => {
      all.add(findings);
      read += entries;
      draw(false);
    },
    onSource: () => {
      done += 1;
      draw(false);
    },
    finish,
  };
};
