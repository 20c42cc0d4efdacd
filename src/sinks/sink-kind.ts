import type { z } from 'zod';
import type { Sink } from './delivery.ts';
import type { commonSettings } from './settings.ts';

type SinkSchema = z.ZodObject<typeof commonSettings & { readonly type: z.ZodLiteral<string> }>;

/** What a kind of sink says of its settings. Texts about them begin with the place: `.url …`, ` needs …`. */
export interface SinkKindSettings<S extends SinkSchema = SinkSchema> {
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
