import { createHash } from 'node:crypto';
import { Agent, type IncomingHttpHeaders } from 'node:http';
import type { FormatName } from '../../../src/formats/registry.ts';
import { pause } from '../pause.ts';
import type { SeenEvent } from './feed-reader.ts';
import { faultsOfBody, faultsOfHead, headOf, type WholeBody } from './http-feed-answer.ts';
import { type FeedLine, readFeedLine } from './http-feed-lines.ts';
import { type FeedPlan, type Known, pathOf, plainRequest, planRequest } from './http-feed-plan.ts';
import { type FeedEnd, requestFeed } from './http-feed-request.ts';

const RETRY_MS = 50;
const KEPT_VIOLATIONS = 20;
/** More than fits into the buffers of a connection. */
const MANY_EVENTS = 3_000;

/** What the reader has done and met. */
export interface HttpReaderCounts {
  requests: number;
  /** No answer: the port is closed, the connection broke, or silence for too long. */
  unanswered: number;
  /** 503: the database did not answer. */
  unavailable: number;
  /** Bodies that broke off before their end. */
  cut: number;
  /** Bodies that the reader itself cut. */
  left: number;
  /** Bodies in whose middle the reader stopped reading for a while. */
  stalls: number;
  violations: number;
}

export interface HttpReaderOptions {
  /** Of the replicas: whichever answers. */
  readonly ports: readonly number[];
  readonly random: () => number;
  /** The first one is asked for most of the time. */
  readonly formats: readonly FormatName[];
  /** Hears the exact text of each event in native, in order of position, once: those of other formats are undefined. */
  readonly onEvent?: (rawText: string | undefined) => void;
}

interface SeenOverHttp {
  readonly key: string;
  /** MD5 of the exact text; undefined until it came in native. */
  rawDigest: string | undefined;
}

type AnswerEnd = Exclude<FeedEnd, { readonly kind: 'unanswered' }>;

/**
 * A consumer of `GET /v1/events`: goes on behind the last complete line that it has, with whichever replica answers, for as
 * long as the run lasts. Notes every gap, repeat, lower position, refusal, and every body that ends as if it were whole and
 * is not.
 */
export class HttpFeedReader {
  readonly counts: HttpReaderCounts = {
    requests: 0,
    unanswered: 0,
    unavailable: 0,
    cut: 0,
    left: 0,
    stalls: 0,
    violations: 0,
  };
  /** The first violations, in words. */
  readonly violations: string[] = [];
  readonly #options: HttpReaderOptions;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #seen: SeenOverHttp[] = [];
  readonly #known: Known[] = [{ position: 0, check: undefined }];
  #reached: Known = { position: 0, check: undefined };
  #feedId: string | undefined;
  #stalledAtPort: number | undefined;

  constructor(options: HttpReaderOptions) {
    this.#options = options;
  }

  /** Events read so far, each once: also the position it has come to. */
  get events(): number {
    return this.#seen.length;
  }

  /** The port of the replica in whose answer it stopped reading for a while, and that cannot have sent all of it yet. */
  get stalledAtPort(): number | undefined {
    return this.#stalledAtPort;
  }

  /** Follows the feed until the signal aborts. */
  async follow(signal: AbortSignal): Promise<void> {
    const { ports, random, formats } = this.#options;
    while (!signal.aborted) {
      const port = ports[Math.floor(random() * ports.length)] ?? 0;
      const plan = planRequest(random, this.#goOnFrom(), this.#known, formats);
      const goesOn = await this.#ask(port, plan, signal);
      await pause(goesOn ? random() * 50 : RETRY_MS, signal);
    }
    this.#agent.destroy();
  }

  /** Reads on to the end of the feed. False if it cannot within the timeout. */
  async finish(timeoutMs: number): Promise<boolean> {
    const timeout = AbortSignal.timeout(timeoutMs);
    for (let turn = 0; !timeout.aborted; turn += 1) {
      const port = this.#options.ports[turn % this.#options.ports.length] ?? 0;
      const before = this.events;
      const goesOn = await this.#ask(port, plainRequest(this.#goOnFrom()), timeout);
      if (goesOn && this.events === before) return true;
      if (!goesOn) await pause(RETRY_MS, timeout);
    }
    return false;
  }

  /** Compares with what a reader over SQL has seen: each position once, with the same entry, to the byte. */
  compare(others: readonly SeenEvent[]): void {
    if (others.length !== this.events) this.#violate(`${this.events} events over HTTP, ${others.length} over SQL`);
    for (const [index, { key, rawDigest }] of this.#seen.entries()) {
      const other = others[index];
      if (other === undefined) return;
      if (!other.key.endsWith(key)) this.#violate(`position ${index + 1} is ${key} over HTTP, ${other.key} over SQL`);
      if (rawDigest !== undefined && rawDigest !== other.rawDigest) {
        this.#violate(`position ${index + 1} has another text over HTTP than over SQL`);
      }
    }
  }

  /** Where it goes on: with the check, if the last line was the last of a whole answer. */
  #goOnFrom(): Known {
    return this.#reached.position === this.events ? this.#reached : { position: this.events, check: undefined };
  }

  /** One request. True where the answer was whole. */
  async #ask(port: number, plan: FeedPlan, signal: AbortSignal): Promise<boolean> {
    this.counts.requests += 1;
    const reached = this.events;
    const startedAtMs = performance.now();
    let position = plan.from.position;
    let last: string | undefined;
    const onLine = (line: string) => {
      if (last !== undefined) this.#violate(`a line behind the last one: ${line.slice(0, 200)}`);
      else if (plan.asksForLastLine && line.startsWith('{"next_position":')) last = line;
      else position = this.#take(plan.format, line, position + 1);
    };
    const onStall = (headers: IncomingHttpHeaders) => {
      this.counts.stalls += 1;
      if (headOf(headers).nextPosition - position >= MANY_EVENTS) this.#stalledAtPort = port;
    };
    const url = `http://127.0.0.1:${port}${pathOf(plan, this.#feedId)}`;
    const end = await requestFeed(url, this.#agent, plan, { onLine, onStall }, signal);
    this.#stalledAtPort = undefined;
    if (end.kind === 'unanswered') this.counts.unanswered += 1;
    else if (end.status !== 200) this.#refused(end);
    else return this.#answered(end, plan, reached, { position, last, tookMs: performance.now() - startedAtMs });
    return false;
  }

  /** An event that was due at this position; returns the position that it has. */
  #take(format: FormatName, line: string, due: number): number {
    try {
      const event = readFeedLine(format, line);
      if (event.position !== due) this.#violate(`position ${event.position} came where ${due} was due`);
      this.#note(event);
      return event.position;
    } catch (error) {
      this.#violate(`a line that is no whole ${format}: ${String(error)}: ${line.slice(0, 200)}`);
      return due;
    }
  }

  #note({ position, key, rawText }: FeedLine): void {
    const rawDigest = rawText === undefined ? undefined : createHash('md5').update(rawText).digest('hex');
    const seen = this.#seen[position - 1];
    if (position === this.events + 1) {
      this.#seen.push({ key, rawDigest });
      this.#options.onEvent?.(rawText);
    }
    if (seen === undefined) return;
    if (!seen.key.endsWith(key) && !key.endsWith(seen.key)) {
      this.#violate(`position ${position} was ${seen.key} and is ${key} now`);
    }
    if (rawDigest === undefined) return;
    if (seen.rawDigest !== undefined && seen.rawDigest !== rawDigest) {
      this.#violate(`position ${position} has another text now`);
    }
    seen.rawDigest = rawDigest;
  }

  #refused({ status, rest }: AnswerEnd): void {
    if (status === 503) this.counts.unavailable += 1;
    else this.#violate(`refused with ${status}: ${rest}`);
  }

  #answered(end: AnswerEnd, plan: FeedPlan, reached: number, body: Omit<WholeBody, 'rest'>): boolean {
    const head = headOf(end.headers);
    for (const fault of faultsOfHead(head, plan, reached, this.#feedId)) this.#violate(fault);
    this.#feedId ??= head.feedId;
    const known = { position: head.nextPosition, check: head.check };
    if (end.kind === 'cut') this.counts.cut += 1;
    else if (end.kind === 'left') this.counts.left += 1;
    else {
      if (end.kind === 'broken') this.#violate(`a body ended cleanly and was not whole: ${end.reason}`);
      for (const fault of faultsOfBody({ ...body, rest: end.rest }, head, plan)) this.#violate(fault);
      if (head.nextPosition === this.events) this.#reached = known;
      this.#known.push(known);
    }
    return end.kind === 'whole';
  }

  #violate(what: string): void {
    this.counts.violations += 1;
    if (this.violations.length < KEPT_VIOLATIONS) this.violations.push(what);
  }
}
