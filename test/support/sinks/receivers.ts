import { existsSync } from 'node:fs';
import { expect } from 'vitest';
import type { OutgoingEvent } from '../../../src/sinks/delivery.ts';
import { type SinkType, sinkTypes } from '../../../src/sinks/registry.ts';
import type { HttpReceiver } from './http/http-receiver.ts';

/** An event as a receiver has it. */
export interface Arrived {
  /** To the byte; undefined: the receiver gets a message, and its key. */
  readonly text?: string;
  /** Undefined if the receiver is not told. */
  readonly key?: string;
  readonly position?: number;
}

/** The other end of one sink. */
export interface Receiver extends AsyncDisposable {
  /** What ORGTRAIL_SINKS says of the sink: with a value for all that makes the sink trust it, and be trusted. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Events in the order in which they came, with the repeats that it keeps. */
  received(): Promise<readonly Arrived[]>;
  /** It is away until `restart`, and keeps what it has. */
  stop(): Promise<void>;
  restart(): Promise<void>;
  /** Lets something go wrong with the next delivery, of so many events. Refuses nothing that it would take the next time. */
  disturb(random: () => number, eventCount: number): Promise<void>;
  /** What it was sent against its protocol; empty if all is well. */
  breaches(): readonly string[];
}

/** A receiver that can stop answering: all but a file. */
export interface Hang {
  /** Whether a delivery has come that gets no answer. */
  isReached(): boolean;
  /** It answers again. */
  end(): void;
}

interface ReceiverOptions {
  /** It, or the sink for it, refuses each event for which `isPoison` is true. */
  readonly refusesPoison: boolean;
}

/** How the receiver of a kind of sink is started, for the suite that every kind must pass; exported as `receiver`. */
export interface ReceiverKind<R extends Receiver = Receiver> {
  start(options: ReceiverOptions): Promise<R>;
  /** Why a delivery fails while it is away. */
  readonly awayReason: RegExp;
  /** Lets it hang, and why a delivery then fails; undefined: it cannot hang. */
  readonly hang: ((receiver: R) => Hang) | undefined;
  readonly hangReason: RegExp;
  /** What it is sent, if that is not entries. */
  readonly events?: (count: number, padding: string) => OutgoingEvent[];
  /** False: it takes whatever an event holds. */
  readonly canRefuse: boolean;
  /** `kept`: an event that comes again stands there again. `none`: it drops repeats, or none are sent. */
  readonly repeats: 'kept' | 'none';
  /** The server under it; undefined: it does not speak HTTP. */
  readonly http: ((receiver: R) => HttpReceiver) | undefined;
}

const POISON = 'poison';
/** Also by its size: receivers of syslog look at nothing else. */
export const poisonPadding: string = POISON.repeat(1_000);
export const isPoison = (text: string): boolean => text.includes(POISON);

const load = async (type: SinkType): Promise<ReceiverKind> => {
  const file = new URL(`./receivers/${type}.ts`, import.meta.url);
  if (!existsSync(file)) {
    throw new Error(`a kind of sink without a receiver: write test/support/sinks/receivers/${type}.ts`);
  }
  return (await import(file.href)).receiver;
};

/** That of every kind in the registry, found by its name. */
export const receiverKinds = Object.fromEntries(
  await Promise.all(sinkTypes.map(async (type) => [type, await load(type)] as const)),
) as Readonly<Record<SinkType, ReceiverKind>>;

/** Every event arrived, whole and in order but for repeats, under its own key and position; returns how many repeats there were. */
export const expectArrived = (arrived: readonly Arrived[], events: readonly OutgoingEvent[]): number => {
  const sent = new Map(events.map((event) => [event.text, event]));
  const byKey = new Map(events.map(({ key, text }) => [key, text]));
  const whole = arrived.map(({ text, key, ...rest }) => ({
    text: text ?? byKey.get(key ?? '') ?? `${key}`,
    key,
    ...rest,
  }));
  for (const { text, key, position } of whole) {
    const event = sent.get(text);
    if (event === undefined) throw new Error(`this was never sent: ${text.slice(0, 500)}`);
    const as = { key: key ?? event.key, position: position ?? event.event.position };
    expect(as).toEqual({ key: event.key, position: event.event.position });
  }
  const first = new Set(whole.map(({ text }) => text));
  expect([...first].map((text) => sent.get(text)?.event.position)).toEqual(events.map(({ event }) => event.position));
  return arrived.length - first.size;
};
