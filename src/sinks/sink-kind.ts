import { z } from 'zod';
import { parseDurationMs } from '../base/time.ts';
import { copiesChoices } from '../feed/feed.ts';
import { type FormatName, formatNames, formats } from '../formats/registry.ts';
import type { Sink } from './delivery.ts';
import { type Severity, severities } from './findings/finding.ts';
import { type SinkStream, sinkStreams } from './ports.ts';

type SinkSchema = z.ZodObject<typeof commonSettings & { readonly type: z.ZodLiteral<string> }>;

/** What a kind of sink says of its settings. Texts about them begin with the place: `.url …`, ` needs …`. */
interface SinkKindSettings<S extends SinkSchema = SinkSchema> {
  /** What ORGTRAIL_SINKS may say of such a sink: strict, with `type` and `commonSettings`. */
  readonly settings: S;
  /** Names of settings that no output may show. Each may also come from a file, as `NAME_file`. */
  readonly secrets: readonly (keyof z.infer<S> & string)[];
  /** Names of settings that name a file, which must be readable. */
  readonly files: readonly (keyof z.infer<S> & string)[];
  /** Names of settings that are a URL whose path and query must be treated as secret: only scheme and host are shown. */
  readonly secretAddresses: readonly (keyof z.infer<S> & string)[];
  /** Secrets in other forms: as they go over the wire, or inside an address. No output may show them either. */
  derivedSecrets(settings: z.infer<S>): readonly string[];
  /** What contradicts itself: no sink is made of it. */
  contradictions(settings: z.infer<S>): readonly string[];
  /** What is allowed but probably not meant. */
  warnings(settings: z.infer<S>): readonly string[];
  /** A setting whose value two sinks cannot share, with the value in its plainest form; undefined: they can share everything. */
  exclusive(settings: z.infer<S>): { readonly setting: string; readonly value: string } | undefined;
}

/** What sinks take from the surroundings of the process. */
export interface SinkSurroundings {
  /** Variables that begin with `AWS_`, for credentials that Amazon gives. */
  readonly aws: Readonly<Record<string, string | undefined>>;
}

/** A kind of sink, as a folder beside this file exports it and `registry.ts` lists it. */
export interface SinkKind<S extends SinkSchema = SinkSchema> extends SinkKindSettings<S> {
  /** The sink that the settings ask for. Opens nothing yet. Throws OrgtrailError `configuration` for what cannot be used. */
  create(settings: z.infer<S>, surroundings: SinkSurroundings): Sink;
}

const none = (): [] => [];

/** What a kind says of its settings; what it leaves out is nothing. */
export const sinkKindSettings = <S extends SinkSchema>(
  said: Pick<SinkKindSettings<S>, 'settings'> & Partial<SinkKindSettings<S>>,
): SinkKindSettings<S> => ({
  secrets: [],
  files: [],
  secretAddresses: [],
  derivedSecrets: none,
  contradictions: none,
  warnings: none,
  exclusive: () => undefined,
  ...said,
});

// What settings of sinks are made of. The settings of a kind are in its folder.

const formatSetting = (fallback: FormatName) => z.enum(formatNames).default(fallback);

/** Only formats that write JSON, the default first. */
export const jsonFormatSetting = (fallback: FormatName) => {
  const others = formatNames.filter((name) => formats[name].json && name !== fallback);
  return z.enum([fallback, ...others]).default(fallback);
};

export const secret = z.string().trim().min(1);
/** One that is sent in a header as it is. The message shows none of it. */
export const headerSecret = secret.regex(/^[\x21-\x7e]+$/, 'must be printable ASCII without spaces');

/** Milliseconds, from a text such as `30s`; a second at least. */
export const durationMs = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .transform((text, issue) => {
      const ms = parseDurationMs(text);
      if (ms === undefined || ms < 1_000) issue.addIssue({ code: 'custom', message: 'must be a duration such as 30s' });
      return ms ?? 0;
    });

/** `none`, or milliseconds from a text such as `18h`; a second at least. */
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

/** As long as Logpush lets a file grow: an event that is to be seen is not held back for longer. */
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

/** Undefined: an event may have any size. */
export const maxEventBytesSetting = (fallback?: number) =>
  z
    .int()
    .min(1)
    .optional()
    .transform((bytes): number | undefined => bytes ?? fallback);

/** Where a new sink begins: with all that is stored, or with what comes next. */
export const startSetting = (fallback: 'beginning' | 'now') => z.enum(['beginning', 'now']).default(fallback);

/** What a sink is sent. */
export const streamSetting = (fallback: SinkStream, streams: readonly SinkStream[] = sinkStreams) =>
  z.enum(streams).default(fallback);

/** Undefined: all. */
export const minSeveritySetting = (fallback?: Severity) =>
  z
    .enum(severities)
    .optional()
    .transform((given): Severity | undefined => given ?? fallback);

export const batchEventsSetting = (fallback: number, most: number) => z.int().min(1).max(most).default(fallback);

/** A URL without a user and a password, which would end up in logs. */
export const urlOf = (...protocols: readonly string[]) =>
  z.string().superRefine((text, issue) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    const plain = url !== undefined && protocols.includes(url.protocol) && url.username === '' && url.password === '';
    if (!plain)
      issue.addIssue({ code: 'custom', message: `must be a URL with ${protocols.join(' or ')} and no password` });
  });

/** Settings of every kind. A kind may have other defaults, by the functions above. */
export const commonSettings = {
  events: streamSetting('entries'),
  /** Of what detections find, only what is of this severity and above. */
  min_severity: minSeveritySetting(),
  start: startSetting('beginning'),
  /** Events whose action is older when they would be sent are skipped. */
  max_age: maxAgeSetting(),
  /** An event that takes more, as it is sent, becomes a dead letter. */
  max_event_bytes: maxEventBytesSetting(),
  /** A delivery that is not full waits so long for more events. */
  max_interval: maxIntervalSetting(),
  /** Only these organizations; all without it. */
  organizations: z.array(z.string().min(1)).min(1).optional(),
  /** Only these accounts, in the same way; with both, an event must meet both. */
  accounts: z.array(z.string().min(1)).min(1).optional(),
  /** Of an entry about a user, which stands in many accounts: every copy, or the first that meets the settings above. */
  copies: z.enum(copiesChoices).default('all'),
  /** Most events of one delivery. */
  batch_events: batchEventsSetting(500, 10_000),
  timeout: durationMs('30s'),
  format: formatSetting('native'),
  /** A record of each checkpoint of the evidence goes there, too. */
  checkpoints: z.boolean().optional(),
};
