import { z } from 'zod';
import { type Sink, textBytes } from './delivery.ts';
import { axiom } from './kinds/axiom.ts';
import { datadog } from './kinds/datadog.ts';
import { elasticsearch } from './kinds/elasticsearch.ts';
import { file } from './kinds/file.ts';
import { http } from './kinds/http.ts';
import { pagerduty } from './kinds/pagerduty.ts';
import { panther } from './kinds/panther.ts';
import { s3 } from './kinds/s3.ts';
import { sentinel } from './kinds/sentinel.ts';
import { slack } from './kinds/slack.ts';
import { splunkHec } from './kinds/splunk-hec.ts';
import { sumo } from './kinds/sumo.ts';
import { syslog } from './kinds/syslog/syslog.ts';
import { teams } from './kinds/teams.ts';
import { webhook } from './kinds/webhook.ts';
import type { SinkKind, SinkSurroundings } from './sink-kind.ts';

/**
 * All kinds of sinks, by what `type` says of them in ORGTRAIL_SINKS: a contract (docs/sinks.md). To add one takes a folder and
 * its name here (CONTRIBUTING.md).
 */
const registry = {
  syslog,
  splunk_hec: splunkHec,
  elasticsearch,
  webhook,
  file,
  s3,
  http,
  datadog,
  panther,
  sumo,
  axiom,
  sentinel,
  slack,
  teams,
  pagerduty,
};

export type SinkType = keyof typeof registry;
/** What ORGTRAIL_SINKS says of one sink, as read. */
export type SinkSettings = z.infer<(typeof registry)[SinkType]['settings']>;

export const sinkKinds: Readonly<Record<SinkType, SinkKind>> = registry;
export const sinkTypes = Object.keys(registry) as readonly SinkType[];

type Schema = (typeof registry)[SinkType]['settings'];
const schemas = Object.values(registry).map(({ settings }) => settings);
export const sinkSettings = z.discriminatedUnion('type', schemas as [Schema, ...Schema[]]);

/** Settings that are secrets, of any kind. */
export const sinkSecrets: readonly string[] = [
  ...new Set(Object.values<SinkKind>(registry).flatMap(({ secrets }) => secrets)),
];

export const kindOf = ({ type }: SinkSettings): SinkKind => sinkKinds[type];

/** The sink that the settings ask for. Opens nothing yet. Throws OrgtrailError `configuration` for what cannot be used. */
export const createSink = (settings: SinkSettings, surroundings: SinkSurroundings = { aws: {} }): Sink =>
  kindOf(settings).create(settings, surroundings);

interface LatestSettings {
  /** The same object until a secret is renewed. */
  readonly settings: () => SinkSettings;
  /** Looks for newer secrets. */
  readonly refresh: () => void;
  readonly surroundings?: SinkSurroundings;
}

/**
 * A sink whose secrets may be renewed: before a delivery it takes the latest ones, and after one that failed it looks for newer
 * ones, which the next attempt then has. Throws as `createSink` does.
 */
export const createLiveSink = ({ settings, refresh, surroundings }: LatestSettings): Sink => {
  let used = settings();
  let sink = createSink(used, surroundings);
  const latest = async (): Promise<Sink> => {
    const now = settings();
    if (now === used) return sink;
    const old = sink;
    sink = createSink(now, surroundings);
    used = now;
    // One delivery at a time: nothing is under way on it.
    await old.close().catch(() => {});
    return sink;
  };
  return {
    target: sink.target,
    maxEvents: sink.maxEvents,
    maxBytes: sink.maxBytes,
    eventBytes: (event) => sink.eventBytes?.(event) ?? textBytes(event),
    deliver: async (delivery, signal) => {
      try {
        const outcome = await (await latest()).deliver(delivery, signal);
        if (outcome.kind !== 'delivered') refresh();
        return outcome;
      } catch (error) {
        refresh();
        throw error;
      }
    },
    close: () => sink.close(),
  };
};

/** Shorter ones would blank out ordinary words. */
const MIN_SECRET_LENGTH = 6;

/** The parts of a sink's settings that no output may hold, also in the forms in which they go over the wire. */
export const secretsOfSink = (settings: SinkSettings): string[] => {
  const { secrets, derivedSecrets } = kindOf(settings);
  const values: Readonly<Record<string, unknown>> = { ...settings };
  const given = secrets.map((name) => values[name]).filter((secret) => typeof secret === 'string');
  return [...given, ...derivedSecrets(settings)].filter((secret) => secret.length >= MIN_SECRET_LENGTH);
};

/** Takes these secrets out of what a receiver says: it may repeat what it was sent. */
export const redactorOf = (settings: SinkSettings): ((text: string) => string) => {
  const secrets = secretsOfSink(settings);
  return (text) => secrets.reduce((rest, secret) => rest.replaceAll(secret, '[redacted]'), text);
};
