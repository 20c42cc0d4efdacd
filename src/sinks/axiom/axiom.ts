import type { Sink } from '../delivery.ts';
import { datedItemWriter } from '../http/dated-item.ts';
import { createHttpSink } from '../http/http-sink.ts';
import type { SinkKind } from '../sink-kind.ts';
import { axiomOutcome } from './answers.ts';
import { type AxiomSettings, axiomSettings } from './settings.ts';

const checks = { credential: 'token, and that it may ingest into dataset', address: 'url and dataset' };

/** Pushes to a dataset of Axiom. Axiom does not look for repeats: they show by the field `key`. */
const create = (settings: AxiomSettings): Sink => {
  const { url: base, dataset, token } = settings;
  const { origin, hostname, pathname } = new URL(base);
  // The domains of edge deployments have the other path alone.
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
    // An item is JSON, whatever the format of its event is.
    format: 'native',
    write: datedItemWriter('_time', settings.format),
    maxRequestBytes: undefined,
    checks,
    readSuccess: axiomOutcome,
  });
};

export const axiom: SinkKind<typeof axiomSettings.settings> = { ...axiomSettings, create };
