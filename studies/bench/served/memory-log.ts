import { findArray } from '../../../src/ingest/entries/json-bytes.ts';
import type { ServedLog } from './page-server.ts';

interface AuditBody {
  readonly result: readonly { readonly action: { readonly time: string } }[];
  readonly result_info: { readonly cursor?: string };
}

/** Reads a whole log over HTTP, to the byte. Called by the page server, of the simulator beside it. */
export const readLog = async (url: string): Promise<{ readonly log: ServedLog; readonly count: number }> => {
  const texts: string[] = [];
  const times: number[] = [];
  let cursor: string | undefined;
  do {
    const query = new URLSearchParams({ since: '2000-01-01T00:00:00Z', before: '2100-01-01T00:00:00Z', limit: '1000' });
    query.set('direction', 'asc');
    if (cursor !== undefined) query.set('cursor', cursor);
    const text = await (await fetch(`${url}?${query}`, { headers: { authorization: 'Bearer any' } })).text();
    const body = JSON.parse(text) as AuditBody;
    for (const { start, end } of findArray(text, 'result')?.elements ?? []) texts.push(text.slice(start, end));
    for (const { action } of body.result) times.push(Date.parse(action.time));
    cursor = body.result_info.cursor;
  } while (cursor !== undefined);
  return { log: memoryLog(texts, times), count: texts.length };
};

const memoryLog = (texts: readonly string[], timesMs: readonly number[]): ServedLog => {
  const all = Buffer.from(texts.join(','));
  const starts = [0];
  for (const text of texts) starts.push((starts.at(-1) ?? 0) + Buffer.byteLength(text) + 1);
  return {
    indexAt: (timeMs) => lowerBound(timesMs.length, (index) => (timesMs[index] ?? 0) < timeMs),
    elements: (from, to, newestFirst = false) => {
      const part = to <= from ? Buffer.alloc(0) : all.subarray(starts[from], (starts[to] ?? 0) - 1);
      return newestFirst ? reversed(part, starts.slice(from, to + 1)) : part;
    },
  };
};

/** Elements with commas between them, the last one first. `starts`: of each, and of what follows. */
const reversed = (part: Buffer, starts: readonly number[]): Buffer => {
  const result = Buffer.alloc(part.length, ',');
  let at = part.length;
  for (let index = 0; index < starts.length - 1; index += 1) {
    const from = (starts[index] ?? 0) - (starts[0] ?? 0);
    const to = (starts[index + 1] ?? 0) - (starts[0] ?? 0) - 1;
    at -= to - from;
    part.copy(result, at, from, to);
    at -= 1;
  }
  return result;
};

/** The first index of `[0, count)` for which `isBefore` does not hold, `count` where it holds for all. */
export const lowerBound = (count: number, isBefore: (index: number) => boolean): number => {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isBefore(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
};
