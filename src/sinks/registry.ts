import { z } from 'zod';
import { axiom } from './axiom/axiom.ts';
import { datadog } from './datadog/datadog.ts';
import type { Sink } from './delivery.ts';
import { elasticsearch } from './elasticsearch/elasticsearch.ts';
import { file } from './file/file.ts';
import { http } from './http/http.ts';
import { pagerduty } from './pagerduty/pagerduty.ts';
import { panther } from './panther/panther.ts';
import { s3 } from './s3/s3.ts';
import { sentinel } from './sentinel/sentinel.ts';
import type { SinkKind, SinkSurroundings } from './sink-kind.ts';
import { slack } from './slack/slack.ts';
import { splunkHec } from './splunk-hec/splunk-hec.ts';
import { sumo } from './sumo/sumo.ts';
import { syslog } from './syslog/syslog.ts';
import { teams } from './teams/teams.ts';
import { webhook } from './webhook/webhook.ts';

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
