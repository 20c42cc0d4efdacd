import { z } from 'zod';
import type { DeliveryOutcome, Sink } from '../delivery.ts';
import { failedBy, type HttpAnswer, type ReasonText } from '../http/http-post.ts';
import { httpSettings, plainHttpWarnings } from '../http/http-settings.ts';
import { createHttpSink, datedItemWriter } from '../http/http-sink.ts';
import { commonSettings, headerSecret, maxEventBytesSetting, type SinkKind, sinkKindSettings } from '../sink-kind.ts';

const checks = { credential: 'token, and that it may ingest into dataset', address: 'url and dataset' };

/** Axiom does not look for repeats: they show by the field `key`. */
const create = (settings: AxiomSettings): Sink => {
  const { url: base, dataset, token } = settings;
  const { origin, hostname, pathname } = new URL(base);
  // Edge deployments have only the other path.
  const path = hostname.endsWith('.edge.axiom.co') ? `/v1/ingest/${dataset}` : `/v1/datasets/${dataset}/ingest`;
  const url = `${origin}${pathname.replace(/\/+$/, '')}${path}`;
  return createHttpSink({
    url,
    target: url,
    headers: { authorization: `Bearer ${token}` },
    timeoutMs: settings.timeout,
    caFile: settings.ca_file,
    secrets: [token],
    gzip: settings.gzip,
    body: 'ndjson',
    // An item is JSON, whatever the format of its event.
    format: 'native',
    write: datedItemWriter('_time', settings.format),
    maxRequestBytes: undefined,
    checks,
    readSuccess: axiomOutcome,
  });
};

const settings = z.strictObject({
  type: z.literal('axiom'),
  ...commonSettings,
  ...httpSettings,
  url: httpSettings.url.default('https://api.axiom.co'),
  dataset: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]*$/, 'must be the name of a dataset'),
  token: headerSecret,
  max_event_bytes: maxEventBytesSetting(1_000_000),
});

const axiomSettings = sinkKindSettings({
  settings,
  secrets: ['token'],
  files: ['ca_file'],
  warnings: ({ url }) => plainHttpWarnings(url, 'its token'),
});

/** Axiom counts the events that it does not take, and does not say which. They are found by halves, so it gets the others again. */
const axiomOutcome = (answer: HttpAnswer, eventCount: number, reasonText: ReasonText): DeliveryOutcome => {
  const said = readAnswer(answer.body);
  if (said === undefined || said.ingested + said.failed !== eventCount) {
    const reason = reasonText(
      `HTTP ${answer.status} does not say that ${eventCount} events came: check url: ${answer.body}`,
    );
    return failedBy(answer, reason);
  }
  if (said.failed === 0) return { kind: 'delivered', refused: [] };
  const why = said.failures?.[0]?.error ?? 'no reason given';
  return { kind: 'refused', reason: reasonText(`${said.failed} of ${eventCount} events failed: ${why}`) };
};

const readAnswer = (body: string): z.infer<typeof ingestAnswer> | undefined => {
  try {
    return ingestAnswer.safeParse(JSON.parse(body)).data;
  } catch {
    return undefined;
  }
};

const ingestAnswer = z.object({
  ingested: z.int(),
  failed: z.int(),
  failures: z.array(z.object({ error: z.string() })).nullish(),
});

export const axiom: SinkKind<typeof axiomSettings.settings> = { ...axiomSettings, create };

type AxiomSettings = z.infer<typeof settings>;
