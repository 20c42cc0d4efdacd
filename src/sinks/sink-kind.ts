import { z } from 'zod';
import { parseDurationMs } from '../base/time.ts';
import { copiesChoices } from '../feed/feed.ts';
import { type FormatName, formatNames, formats } from '../formats/registry.ts';
import type { Sink } from './delivery.ts';
import { type Severity, severities } from './findings/finding.ts';
import { type SinkStream, sinkStreams } from './ports.ts';

type SinkSchema = z.ZodObject<typeof commonSettings & { readonly type: z.ZodLiteral<string> }>;

/** Texts about settings begin with the place: `.url …`, ` needs …`. */
export interface SinkKind<S extends SinkSchema = SinkSchema> {
  /** Strict, with `type` and `commonSettings`. */
  readonly settings: S;
  /** Shown in no output. Each may come from a file, as `NAME_file`. */
  readonly secrets: readonly (keyof z.infer<S> & string)[];
  /** Settings that name a file, which must be readable. */
  readonly files: readonly (keyof z.infer<S> & string)[];
  /** URLs whose path and query are secret: only scheme and host are shown. */
  readonly secretAddresses: readonly (keyof z.infer<S> & string)[];
  /** Secrets in other forms, over the wire or inside an address: shown in no output either. */
  derivedSecrets(settings: z.infer<S>): readonly string[];
  /** Faults for which no sink is made. */
  contradictions(settings: z.infer<S>): readonly string[];
  /** Allowed but probably not meant. */
  warnings(settings: z.infer<S>): readonly string[];
  /** A setting whose plainest value two sinks cannot share. */
  exclusive(settings: z.infer<S>): { readonly setting: string; readonly value: string } | undefined;
  /** Opens nothing yet. Throws OrgtrailError `configuration` for unusable settings. */
  create(settings: z.infer<S>, surroundings: SinkSurroundings): Sink;
}

export interface SinkSurroundings {
  /** Variables that begin with `AWS_`, for Amazon's credentials. */
  readonly aws: Readonly<Record<string, string | undefined>>;
}

const none = (): [] => [];

export const sinkKind = <S extends SinkSchema>(
  said: Pick<SinkKind<S>, 'settings' | 'create'> & Partial<SinkKind<S>>,
): SinkKind<S> => ({
  secrets: [],
  files: [],
  secretAddresses: [],
  derivedSecrets: none,
  contradictions: none,
  warnings: none,
  exclusive: () => undefined,
  ...said,
});

const formatSetting = (fallback: FormatName) => z.enum(formatNames).default(fallback);

/** Formats that write JSON, the default first. */
export const jsonFormatSetting = (fallback: FormatName) => {
  const others = formatNames.filter((name) => formats[name].json && name !== fallback);
  return z.enum([fallback, ...others]).default(fallback);
};

export const secret = z.string().trim().min(1);
/** Sent in a header as it is. The message shows none of it. */
export const headerSecret = secret.regex(/^[\x21-\x7e]+$/, 'must be printable ASCII without spaces');

/** Milliseconds of a text such as `30s`; at least a second. */
export const durationMs = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .transform((text, issue) => {
      const ms = parseDurationMs(text);
      if (ms === undefined || ms < 1_000) issue.addIssue({ code: 'custom', message: 'must be a duration such as 30s' });
      return ms ?? 0;
    });

/** `none`, or milliseconds of a text such as `18h`; at least a second. */
export const maxAgeSetting = (fallback?: string) =>
  z
    .string()
    .optional()
    .transform((given, issue): number | undefined => {
      const text = given ?? fallback ?? 'none';
      const ms = text === 'none' ? undefined : parseDurationMs(text);
      if (text !== 'none' && (ms === undefined || ms < 1_000)) {
        issue.addIssue({ code: 'custom', message: 'must be a duration such as 18h, or none' });
      }
      return ms;
    });

/** Logpush's limit for a file: events to be seen are not held back longer. */
const MAX_INTERVAL_MS = 300_000;

/** Milliseconds; undefined: at once. */
export const maxIntervalSetting = (fallback?: string) =>
  z
    .string()
    .optional()
    .transform((given, issue): number | undefined => {
      const text = given ?? fallback;
      if (text === undefined) return undefined;
      const ms = parseDurationMs(text) ?? 0;
      if (ms < 1_000 || ms > MAX_INTERVAL_MS) {
        issue.addIssue({ code: 'custom', message: 'must be a duration from 1s to 5m' });
      }
      return ms;
    });

export const maxEventBytesSetting = (fallback?: number) =>
  z
    .int()
    .min(1)
    .optional()
    .transform((bytes): number | undefined => bytes ?? fallback);

/** With all that is stored, or with what comes next. */
export const startSetting = (fallback: 'beginning' | 'now') => z.enum(['beginning', 'now']).default(fallback);

export const streamSetting = (fallback: SinkStream, streams: readonly SinkStream[] = sinkStreams) =>
  z.enum(streams).default(fallback);

export const minSeveritySetting = (fallback?: Severity) =>
  z
    .enum(severities)
    .optional()
    .transform((given): Severity | undefined => given ?? fallback);

export const batchEventsSetting = (fallback: number, most: number) => z.int().min(1).max(most).default(fallback);

/** Without user and password, which would end up in logs. */
export const urlOf = (...protocols: readonly string[]) =>
  z.string().superRefine((text, issue) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    const plain = url !== undefined && protocols.includes(url.protocol) && url.username === '' && url.password === '';
    if (!plain)
      issue.addIssue({ code: 'custom', message: `must be a URL with ${protocols.join(' or ')} and no password` });
  });

/** Of every kind; a kind may have other defaults. */
export const commonSettings = {
  events: streamSetting('entries'),
  /** Of findings. */
  min_severity: minSeveritySetting(),
  start: startSetting('beginning'),
  /** Skips events whose action is older when they would be sent. */
  max_age: maxAgeSetting(),
  /** A larger event, as sent, becomes a dead letter. */
  max_event_bytes: maxEventBytesSetting(),
  /** Time that a delivery waits to be filled. */
  max_interval: maxIntervalSetting(),
  organizations: z.array(z.string().min(1)).min(1).optional(),
  /** With both, an event must meet both. */
  accounts: z.array(z.string().min(1)).min(1).optional(),
  /** Of an entry about a user, which is in many accounts: every copy, or the first that meets the settings above. */
  copies: z.enum(copiesChoices).default('all'),
  batch_events: batchEventsSetting(500, 10_000),
  timeout: durationMs('30s'),
  format: formatSetting('native'),
  checkpoints: z.boolean().optional(),
};
