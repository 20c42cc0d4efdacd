import { createHash } from 'node:crypto';
import { findArray } from '../../../src/ingest/entries/json-bytes.ts';
import { lowerBound } from './memory-log.ts';
import type { ServedLog } from './page-server.ts';

const TEMPLATE_ENTRIES = 1_000;

/**
 * A log of `count` entries at even distances over the history, made of a thousand of another: each has an id and a time of its own
 * in a copy of the text. Costs a millisecond a page, and no memory, however long it is.
 */
export const endlessLog = (of: ServedLog, name: string, count: number, historyMs: number): ServedLog => {
  const text = `{"result":[${of.elements(0, TEMPLATE_ENTRIES).toString('utf8')}]}`;
  const spans = findArray(text, 'result')?.elements ?? [];
  const templates = spans.map(({ start, end }) => template(text.slice(start, end)));
  const endMs = Date.now() - 60_000;
  const timeOf = (index: number) => Math.floor(endMs - (1 - index / count) * historyMs);
  return {
    indexAt: (timeMs) => lowerBound(count, (index) => timeOf(index) < timeMs),
    elements: (from, to, newestFirst = false) => {
      const pieces: string[] = [];
      for (let index = from; index < to; index += 1) {
        const { before, between, after, idFirst } = templates[index % templates.length] as Template;
        const id = createHash('md5').update(`${name}/${index}`).digest('hex');
        const time = new Date(timeOf(index)).toISOString();
        pieces.push(before + (idFirst ? id : time) + between + (idFirst ? time : id) + after);
      }
      return Buffer.from((newestFirst ? pieces.reverse() : pieces).join(','));
    },
  };
};

interface Template {
  readonly before: string;
  readonly between: string;
  readonly after: string;
  readonly idFirst: boolean;
}

/** An entry without its id and its time. */
const template = (text: string): Template => {
  const { id, action } = JSON.parse(text) as { id: string; action: { time: string } };
  const idAt = text.indexOf(`"${id}"`) + 1;
  const timeAt = text.indexOf(`"${action.time}"`) + 1;
  const [first, second] = idAt < timeAt ? [idAt, timeAt] : [timeAt, idAt];
  const [firstLength, secondLength] = idAt < timeAt ? [id.length, action.time.length] : [action.time.length, id.length];
  return {
    before: text.slice(0, first),
    between: text.slice(first + firstLength, second),
    after: text.slice(second + secondLength),
    idFirst: idAt < timeAt,
  };
};
