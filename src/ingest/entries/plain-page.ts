import { createInstantReader, type ReadInstantMs } from '../../base/time.ts';
import { jsonbText, NULL, type PageRows, PLACES, partNames, place, placeOf, REPLACED } from './entry.ts';
import { JsonBytes, notPlain, openBrace, openBracket, quote } from './json-bytes.ts';

export interface PlainPage {
  readonly rows: PageRows;
  readonly timesMs: readonly number[];
  readonly start: number;
  readonly end: number;
  /** The body with an empty array in place of the entries. */
  readonly envelopeText: string;
}

/** `jsonb` has no room for objects with millions of members: whether it takes an entry of this size, only PostgreSQL can say. */
const LARGE_ENTRY_BYTES = 1_000_000;
/** The limit is in characters; these are bytes. */
const LONG_ID_BYTES = 512;
/** Ids that look like those that the store gives itself are read with care. */
const ownIdPrefix = 'sha256:';
const statusCodeText = /^-?[0-9]{1,9}$/;

const FIRST_ENTRIES = 64;
const result = Buffer.from('result');
const id = Buffer.from('id');
const parts = partNames.map((name) => Buffer.from(name));
const ID_MEMBER = parts.length;
const NO_MEMBER = -1;

/**
 * Reads UTF-8 bytes in one pass, without a string for each value, which is most of what a page costs. Takes only what
 * is plain beyond doubt: valid JSON, no defects, columns that PostgreSQL itself would read so (a test holds the two to
 * each other). Else undefined.
 */
export const readPlainPage = (bytes: Buffer): PlainPage | undefined => {
  try {
    return new PlainPageReader(bytes).read();
  } catch (error) {
    if (error === notPlain) return undefined;
    throw error;
  }
};

class PlainPageReader {
  readonly #bytes: Buffer;
  readonly #json: JsonBytes;
  readonly #readInstantMs: ReadInstantMs;
  readonly #firstOfId = new Map<string, number>();
  readonly #firsts: number[] = [];
  readonly #timesMs: number[] = [];
  readonly #statusCodes: (number | null)[] = [];
  readonly #replaced = new Map<number, string>();
  #spans = new Int32Array(FIRST_ENTRIES * PLACES * 2);
  #base = 0;
  #statusCode: number | null = null;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#json = new JsonBytes(bytes);
    this.#readInstantMs = createInstantReader(bytes);
  }

  read(): PlainPage {
    const json = this.#json;
    let [start, end] = [-1, -1];
    for (let more = json.openObject(); more; more = json.nextMember()) {
      json.key();
      // It may be the result, written otherwise.
      if (json.isEscaped) throw notPlain;
      if (!json.is(result)) {
        json.skipValue();
        continue;
      }
      // Two are refused by `readPage`.
      if (start !== -1 || json.peek() !== openBracket) throw notPlain;
      start = json.at;
      end = this.#entries();
    }
    json.expectEnd();
    if (start === -1) throw notPlain;
    const text = (from: number, to: number) => this.#bytes.toString('utf8', from, to);
    return {
      rows: {
        bytes: this.#bytes,
        spans: this.#spans,
        replaced: this.#replaced,
        firsts: this.#firsts,
        statusCodes: this.#statusCodes,
      },
      timesMs: this.#timesMs,
      start,
      end,
      envelopeText: `${text(0, start)}[]${text(end, this.#bytes.length)}`,
    };
  }

  #entries(): number {
    const json = this.#json;
    for (let more = json.openArray(); more; more = json.nextElement()) {
      const start = json.at;
      this.#openRow();
      this.#entry();
      if (json.closed - start > LARGE_ENTRY_BYTES) throw notPlain;
      this.#set(place.text, start, json.closed);
      this.#closeRow();
    }
    return json.closed;
  }

  #openRow(): void {
    this.#base = this.#firsts.length * PLACES * 2;
    if (this.#base === this.#spans.length) {
      const longer = new Int32Array(this.#spans.length * 4);
      longer.set(this.#spans);
      this.#spans = longer;
    }
    this.#spans.fill(NULL, this.#base, this.#base + PLACES * 2);
    this.#statusCode = null;
  }

  #closeRow(): void {
    const [idStart, idEnd] = this.#get(place.id);
    if (idStart === NULL || this.#get(place.time)[0] === NULL) throw notPlain;
    // Bytes for characters: each id has a text of its own anyway.
    const id = this.#bytes.toString('latin1', idStart, idEnd);
    const number = this.#firsts.length + 1;
    const first = this.#firstOfId.get(id);
    if (first === undefined) this.#firstOfId.set(id, number);
    this.#firsts.push(first ?? number);
    this.#statusCodes.push(this.#statusCode);
    this.#chooseRayId();
  }

  #entry(): void {
    const json = this.#json;
    let seen = 0;
    for (let more = json.openObject(); more; more = json.nextMember()) {
      json.key();
      if (json.isEscaped) throw notPlain;
      const member = memberOf(json);
      // The last of two counts, with nothing of the first.
      if (member !== NO_MEMBER && (seen & (1 << member)) !== 0) throw notPlain;
      seen |= 1 << member;
      if (member === ID_MEMBER) this.#id();
      else if (member !== NO_MEMBER && json.peek() === openBrace) this.#part(member);
      else json.skipValue();
    }
  }

  #id(): void {
    const json = this.#json;
    json.string();
    const length = json.end - json.start;
    if (json.isEscaped || length === 0 || length > LONG_ID_BYTES) throw notPlain;
    if (this.#bytes.toString('latin1', json.start, json.start + ownIdPrefix.length) === ownIdPrefix) throw notPlain;
    this.#set(place.id, json.start, json.end);
  }

  #part(part: number): void {
    const json = this.#json;
    for (let more = json.openObject(); more; more = json.nextMember()) {
      json.key();
      if (json.isEscaped) throw notPlain;
      const at = placeOf(part, json);
      if (at === undefined) json.skipValue();
      else if (at === place.time) this.#time();
      else if (at === place.statusCode) this.#readStatusCode();
      else this.#text(at);
    }
  }

  #time(): void {
    const json = this.#json;
    json.string();
    const timeMs = json.isEscaped ? undefined : this.#readInstantMs(json.start, json.end);
    if (timeMs === undefined) throw notPlain;
    // Of two times in one object the last counts.
    if (this.#get(place.time)[0] !== NULL) this.#timesMs.pop();
    this.#timesMs.push(timeMs);
    this.#set(place.time, json.start, json.end);
  }

  #text(at: number): void {
    const json = this.#json;
    const start = json.at;
    if (json.peek() === quote) {
      json.string();
      if (json.isEscaped) this.#replace(at, JSON.parse(this.#bytes.toString('utf8', start, json.at)));
      else this.#set(at, json.start, json.end);
      return;
    }
    json.skipValue();
    const value: unknown = JSON.parse(this.#bytes.toString('utf8', start, json.at));
    const text = value === null ? null : jsonbText(value);
    if (text === undefined) throw notPlain;
    if (text === null) this.#set(at, NULL, NULL);
    else this.#replace(at, text);
  }

  #readStatusCode(): void {
    const json = this.#json;
    const start = json.at;
    this.#statusCode = null;
    if (json.peek() === quote) {
      json.string();
      const text = this.#bytes.toString('latin1', json.start, json.end);
      // No sender would write a digit as an escape.
      if (json.isEscaped) throw notPlain;
      if (statusCodeText.test(text)) this.#statusCode = Number(text);
    } else if (json.isNumber()) {
      // `200.0` and `200` are one number here, and two texts there.
      if (!json.number()) throw notPlain;
      const value = Number(this.#bytes.toString('latin1', start, json.at));
      if (Math.abs(value) < 1e9) this.#statusCode = value;
    } else json.skipValue();
  }

  #chooseRayId(): void {
    const [start] = this.#get(place.rayId);
    if (start !== NULL) return;
    const [otherStart, otherEnd] = this.#get(place.otherRayId);
    this.#set(place.rayId, otherStart, otherEnd);
    if (otherStart !== REPLACED) return;
    this.#replaced.set(this.#base + place.rayId * 2, this.#replaced.get(this.#base + place.otherRayId * 2) ?? '');
  }

  #get(at: number): readonly [start: number, end: number] {
    return [this.#spans[this.#base + at * 2] ?? NULL, this.#spans[this.#base + at * 2 + 1] ?? NULL];
  }

  #set(at: number, start: number, end: number): void {
    this.#spans[this.#base + at * 2] = start;
    this.#spans[this.#base + at * 2 + 1] = end;
  }

  #replace(at: number, text: string): void {
    this.#set(at, REPLACED, REPLACED);
    this.#replaced.set(this.#base + at * 2, text);
  }
}

const memberOf = (json: JsonBytes): number => {
  if (json.is(id)) return ID_MEMBER;
  for (let part = 0; part < parts.length; part += 1) {
    if (json.is(parts[part] as Buffer)) return part;
  }
  return NO_MEMBER;
};
