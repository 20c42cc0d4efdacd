import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';

const PAUSE_MS = 100;

/** A reader of the feed that goes on behind the last position that it has, whatever becomes of the server. */
export interface LastingReader {
  readonly position: number;
  /** Source and id of every event that it has met. */
  readonly seen: ReadonlySet<string>;
  /** Answers that were refusals, by status. Only over HTTP. */
  readonly refusals: readonly { readonly status: number; readonly reason: string }[];
  /** Resolves once it has ended. */
  stop(): Promise<void>;
}

type Step = (reader: State, signal: AbortSignal) => Promise<void>;
interface State {
  position: number;
  readonly seen: Set<string>;
  readonly refusals: { status: number; reason: string }[];
}

const start = (step: Step): LastingReader => {
  const state: State = { position: 0, seen: new Set(), refusals: [] };
  const over = new AbortController();
  const reading = (async () => {
    while (!over.signal.aborted) {
      // Whatever fails is retried: the server is being failed over.
      await step(state, over.signal).catch(() => {});
      await sleep(PAUSE_MS);
    }
  })();
  return {
    get position() {
      return state.position;
    },
    seen: state.seen,
    refusals: state.refusals,
    stop: async () => {
      over.abort();
      await reading;
    },
  };
};

/** Follows the table by position, as every tool does that follows a rising column. */
export const readBySql = (url: string): LastingReader =>
  start(async (reader, signal) => {
    const client = new Client({ connectionString: url });
    client.on('error', () => {});
    try {
      await client.connect();
      while (!signal.aborted) {
        const { rows } = await client.query<{ position: number; key: string }>(
          `select position::float8 as position, source_id || ' ' || id as key from audit_events
           where position > $1 order by position limit 500`,
          [reader.position],
        );
        for (const { key } of rows) reader.seen.add(key);
        reader.position = rows.at(-1)?.position ?? reader.position;
        await sleep(PAUSE_MS);
      }
    } finally {
      await client.end().catch(() => {});
    }
  });

/** Follows `GET /v1/events` with all that its documentation advises: feed id, check, and the number of the last drop. */
export const readOverHttp = (httpUrl: string): LastingReader => {
  const kept: Record<string, string> = {};
  return start(async (reader, signal) => {
    const query = new URLSearchParams({ after: String(reader.position), limit: '200', wait: '1', ...kept });
    const response = await fetch(`${httpUrl}/v1/events?${query}`, { signal });
    const text = await response.text();
    if (!response.ok) {
      if (response.status !== 503) {
        const { reason, dropped } = JSON.parse(text);
        reader.refusals.push({ status: response.status, reason });
        if (response.status === 410) kept['dropped'] = String(dropped);
      }
      return;
    }
    for (const line of text.split('\n').slice(0, -1)) {
      const { source_id: source, id } = JSON.parse(line);
      reader.seen.add(`${source} ${id}`);
    }
    reader.position = Number(response.headers.get('orgtrail-next-position'));
    kept['feed_id'] = response.headers.get('orgtrail-feed-id') ?? '';
    const check = response.headers.get('orgtrail-next-check');
    if (check === null) delete kept['check'];
    else kept['check'] = check;
  });
};
