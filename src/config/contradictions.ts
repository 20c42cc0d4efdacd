import { databaseUrlWarning } from '../postgres/database-url.ts';
import { isLoopbackHost } from '../postgres/loopback.ts';
import { formatDuration } from '../time/duration.ts';
import type { Settings } from './environment-schema.ts';
import type { NamedSink } from './sinks.ts';

/** What settings that are right by themselves say against each other, each with the name of its setting first. */
export const contradictionsOf = (values: Settings, sinks: readonly NamedSink[]): string[] => [
  ...((values.ORGTRAIL_SETTLE.at(-1) ?? 0) >= values.ORGTRAIL_RETENTION
    ? ['ORGTRAIL_RETENTION must be longer than the last delay of ORGTRAIL_SETTLE, which still reads that time again']
    : []),
  ...(values.ORGTRAIL_EVIDENCE_SIGNER !== undefined && values.ORGTRAIL_EVIDENCE_KEY_FILE === undefined
    ? ['ORGTRAIL_EVIDENCE_SIGNER needs ORGTRAIL_EVIDENCE_KEY_FILE beside it, with the public key']
    : []),
  ...halfKeyFaults(values),
  ...nextKeyFaults(values),
  ...checkpointFaults(sinks, values),
];

const checkpointFaults = (sinks: readonly NamedSink[], { ORGTRAIL_EVIDENCE_ORIGIN: origin }: Settings): string[] =>
  origin !== undefined
    ? []
    : sinks
        .filter(({ settings }) => settings.checkpoints === true)
        .map(
          ({ name }) => `ORGTRAIL_SINKS.${name}.checkpoints needs ORGTRAIL_EVIDENCE_ORIGIN: without it there are none`,
        );

const halfKeyFaults = (values: Settings): string[] =>
  (['EVIDENCE', 'ARCHIVE'] as const).flatMap((of) => {
    const names = [`ORGTRAIL_${of}_S3_ACCESS_KEY`, `ORGTRAIL_${of}_S3_SECRET_KEY`] as const;
    const given = names.filter((name) => values[name] !== undefined);
    return given.length === 1 ? [`${names.join(' and ')} belong together: set both`] : [];
  });

const nextKeyFaults = (values: Settings): string[] => [
  ...(values.ORGTRAIL_EVIDENCE_NEXT_SIGNER !== undefined && values.ORGTRAIL_EVIDENCE_NEXT_KEY_FILE === undefined
    ? ['ORGTRAIL_EVIDENCE_NEXT_SIGNER needs ORGTRAIL_EVIDENCE_NEXT_KEY_FILE beside it, with the public key']
    : []),
  ...(values.ORGTRAIL_EVIDENCE_NEXT_KEY_FILE !== undefined && values.ORGTRAIL_EVIDENCE_KEY_FILE === undefined
    ? ['ORGTRAIL_EVIDENCE_NEXT_KEY_FILE needs ORGTRAIL_EVIDENCE_KEY_FILE beside it: a single key is that one']
    : []),
];

/** What is probably not meant. `env`: as it was given, without what is empty. */
export const warningsOf = (env: Record<string, string>, values: Settings): string[] => {
  const warnings: string[] = [];
  const settleDelaysMs = values.ORGTRAIL_SETTLE;
  const { protocol, hostname } = new URL(env['CLOUDFLARE_BASE_URL'] ?? 'https://x');
  if (protocol === 'http:' && !isLoopbackHost(hostname)) {
    warnings.push(`CLOUDFLARE_BASE_URL sends the credential over plain http to ${hostname}`);
  }
  const plainDatabase = databaseUrlWarning(values.DATABASE_URL ?? '');
  if (plainDatabase !== undefined) warnings.push(plainDatabase);
  const { ORGTRAIL_HISTORY: wanted, ORGTRAIL_RETENTION: retentionMs, ORGTRAIL_ARCHIVE: archive } = values;
  // Only one that was set: the default is all that Cloudflare has.
  const isDeep = env['ORGTRAIL_HISTORY'] !== undefined && 'durationMs' in wanted && wanted.durationMs > retentionMs;
  if (isDeep && archive === undefined) {
    warnings.push('ORGTRAIL_HISTORY reaches further back than ORGTRAIL_RETENTION keeps: only that much is read');
  }
  const { ORGTRAIL_EVIDENCE_ORIGIN: origin, ORGTRAIL_EVIDENCE_KEY_FILE: keyFile } = values;
  if (keyFile !== undefined && origin === undefined) {
    warnings.push('ORGTRAIL_EVIDENCE_KEY_FILE does nothing without ORGTRAIL_EVIDENCE_ORIGIN');
  }
  if (values.ORGTRAIL_EVIDENCE_ANCHORS !== undefined && (keyFile === undefined || origin === undefined)) {
    warnings.push(
      'ORGTRAIL_EVIDENCE_ANCHORS does nothing without ORGTRAIL_EVIDENCE_ORIGIN and ORGTRAIL_EVIDENCE_KEY_FILE',
    );
  }
  if (archive !== undefined && retentionMs === Number.POSITIVE_INFINITY) {
    warnings.push(
      'ORGTRAIL_ARCHIVE does nothing without ORGTRAIL_RETENTION: no month is old enough to leave the database',
    );
  }
  if (settleDelaysMs.length === 0) warnings.push('ORGTRAIL_SETTLE is none: entries that arrive late will be missed');
  const longest = settleDelaysMs.at(-1) ?? 0;
  if (longest > 0 && longest < 60_000) {
    warnings.push(
      `the last settle pass comes after ${formatDuration(longest)}: entries later than that will be missed`,
    );
  }
  return warnings;
};
