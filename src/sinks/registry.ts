import { z } from 'zod';
import { type Sink, textBytes } from './delivery.ts';
import { slack, teams } from './kinds/chat-webhooks.ts';
import { elasticsearch } from './kinds/elasticsearch.ts';
import { file } from './kinds/file.ts';
import { axiom, datadog, http, panther, sumo } from './kinds/http.ts';
import { kafka } from './kinds/kafka.ts';
import { otlp } from './kinds/otlp/otlp.ts';
import { pagerduty } from './kinds/pagerduty.ts';
import { s3 } from './kinds/s3.ts';
import { sentinel } from './kinds/sentinel.ts';
import { splunkHec } from './kinds/splunk-hec.ts';
import { syslog } from './kinds/syslog/syslog.ts';
import { webhook } from './kinds/webhook.ts';
import type { SinkKind, SinkSurroundings } from './sink-kind.ts';

/** By `type` in ORGTRAIL_SINKS, a contract (docs/sinks.md). A new kind takes a file and its name here (CONTRIBUTING.md). */
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
  otlp,
  kafka,
  slack,
  teams,
  pagerduty,
};

export type SinkType = keyof typeof registry;
export type SinkSettings = z.infer<(typeof registry)[SinkType]['settings']>;
export const sinkKinds: Readonly<Record<SinkType, SinkKind>> = registry;
export const sinkTypes = Object.keys(registry) as readonly SinkType[];
type Schema = (typeof registry)[SinkType]['settings'];
const schemas = Object.values(registry).map(({ settings }) => settings);
export const sinkSettings = z.discriminatedUnion('type', schemas as [Schema, ...Schema[]]);

export const sinkSecrets: readonly string[] = [
  ...new Set(Object.values<SinkKind>(registry).flatMap(({ secrets }) => secrets)),
];

export const kindOf = ({ type }: SinkSettings): SinkKind => sinkKinds[type];

/** Opens nothing yet. Throws OrgtrailError `configuration` for unusable settings. */
export const createSink = (settings: SinkSettings, surroundings: SinkSurroundings = { aws: {} }): Sink =>
  kindOf(settings).create(settings, surroundings);

interface LatestSettings {
  /** The same object until a secret is renewed. */
  readonly settings: () => SinkSettings;
  readonly refresh: () => void;
  readonly surroundings?: SinkSurroundings;
}

/** Takes the latest secrets before a delivery, and looks for newer ones after a failed one. Throws as `createSink` does. */
export const createLiveSink = ({ settings, refresh, surroundings }: LatestSettings): Sink => {
  let used = settings();
  let sink = createSink(used, surroundings);
  const latest = async (): Promise<Sink> => {
    const now = settings();
    if (now === used) return sink;
    const old = sink;
    sink = createSink(now, surroundings);
    used = now;
    // One delivery at a time: nothing is under way.
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

/** What no output may hold of a sink's settings, also as it goes over the wire. */
export const secretsOfSink = (settings: SinkSettings): string[] => {
  const { secrets, derivedSecrets } = kindOf(settings);
  const values: Readonly<Record<string, unknown>> = { ...settings };
  const given = secrets.map((name) => values[name]).filter((secret) => typeof secret === 'string');
  return [...given, ...derivedSecrets(settings)].filter((secret) => secret.length >= MIN_SECRET_LENGTH);
};

/** Removes these secrets from what a receiver says. */
export const redactorOf = (settings: SinkSettings): ((text: string) => string) => {
  const secrets = secretsOfSink(settings);
  return (text) => secrets.reduce((rest, secret) => rest.replaceAll(secret, '[redacted]'), text);
};
