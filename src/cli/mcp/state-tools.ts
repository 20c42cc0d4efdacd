import { z } from 'zod';
import { OrgtrailError } from '../../errors.ts';
import { severities } from '../../findings/finding.ts';
import { readDetections } from '../../findings/read-detections.sql.ts';
import { readSinkStatus } from '../../sinks/sink-status.sql.ts';
import { createStatusReader } from '../../status/status-reader.ts';
import { statusScopeOf } from '../../status/status-scope.sql.ts';
import { statusJson } from '../output/status-report.ts';
import { completenessOf, shortened } from './answer.ts';
import { question, readQuestion, timeOfQuestion } from './questions.ts';
import { type Tool, tool } from './tool.ts';

const MAX_SOURCES = 50;
const MAX_GAPS = 100;
const MAX_DETECTIONS = 100;
const { since, before } = question;
const name = z.string().max(2_000).optional();

const getStatus = tool({
  name: 'get_status',
  title: 'Status of collection',
  description: `How collection stands: state, delay and uncollected time of organizations and accounts, those in trouble first (${MAX_SOURCES} at most), what vanished, and the sinks.`,
  input: z.strictObject({ limit: z.number().int().min(0).max(MAX_SOURCES).default(20) }),
  answer: async ({ pool, config, source }, { limit }) => {
    const pace = { tickMs: config.tickMs, apiBudget: config.apiBudget };
    const status = await createStatusReader(pool, statusScopeOf(config)).read(pace, { most: limit });
    const configured = config.sinks.map((sink) => sink.name);
    const sinks = await readSinkStatus(pool, configured.length > 0 ? configured : undefined);
    const coverage = await source.coverage({ defects: false, changed: false });
    const { vanished, ...rest } = statusJson({ ...status, sinks: sinks.slice(0, MAX_SOURCES) }, { most: limit });
    const body = { ...rest, vanished: vanished.slice(0, MAX_SOURCES), vanished_in_all: vanished.length };
    return { body: { ...(shortened(JSON.parse(JSON.stringify(body))) as object), ...completenessOf(coverage) } };
  },
});

const getCompleteness = tool({
  name: 'get_completeness',
  title: 'What of a time is collected',
  description: `Whether all of a time is collected, of one organization or account or of all: what is missing, and what Cloudflare could not serve ("holes"), ${MAX_GAPS} of each at most.`,
  input: z.strictObject({ since, before, organization: name, account: name }),
  answer: async ({ source }, asked) => {
    const reading = await readQuestion(source, asked, '7d');
    const coverage = await source.coverage(reading.search, MAX_GAPS);
    const holes = await source.holes(reading.search, MAX_GAPS);
    return { body: { time: timeOfQuestion(reading), ...completenessOf(coverage), holes: shortened(holes) } };
  },
});

const listDetections = tool({
  name: 'list_detections',
  title: 'Detections',
  description: `What the built-in detections find in a time, newest first, ${MAX_DETECTIONS} at most: each names its event by position. Bursts and sign-ins look at the last 31 days alone.`,
  input: z.strictObject({
    since,
    before,
    min_severity: z.enum(severities).default('low'),
    detection: z.string().max(100).optional().describe('One detection by its name, such as member_added.'),
    limit: z.number().int().min(1).max(MAX_DETECTIONS).default(50),
  }),
  answer: async ({ source, pool }, { min_severity: minSeverity, detection, limit, ...time }, signal) => {
    const reading = await readQuestion(source, time, '7d');
    const { since: from, before: until } = timeOfQuestion(reading);
    if (from === null) throw new OrgtrailError('usage', 'since is missing');
    const coverage = await source.coverage(reading.search);
    const asked = { since: from, before: until ?? undefined, minSeverity, detection, limit: limit + 1, signal };
    const found = await readDetections(pool, asked);
    return {
      body: {
        time: timeOfQuestion(reading),
        detections: shortened(found.slice(0, limit)),
        more: found.length > limit,
        ...completenessOf(coverage),
      },
      events: Math.min(found.length, limit),
    };
  },
});

export const stateTools: readonly Tool[] = [getStatus, getCompleteness, listDetections];
