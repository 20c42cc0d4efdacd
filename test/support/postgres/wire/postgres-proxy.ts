import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { FrontendMessages } from './frontend-messages.ts';

/** Where a connection breaks, seen from the statement that commits a page. */
export const cutPoints = [
  /** Nothing of it has been sent. */
  'before',
  /** Half of it has been sent. */
  'in_its_middle',
  /** All has been sent but the Sync message that commits it. */
  'before_its_commit',
  /** All has been sent; the connection breaks at once. */
  'after_its_commit_was_sent',
  /** It has been committed; nothing of the answer arrives. */
  'before_the_answer',
  /** It has been committed; half of the answer arrives. */
  'in_the_answer',
] as const;
type CutPoint = (typeof cutPoints)[number];

interface Address {
  readonly host: string;
  readonly port: number;
}

/** A way to PostgreSQL that moves, delays, falls silent, and breaks at a chosen point of a statement. */
export interface PostgresProxy extends AsyncDisposable {
  readonly port: number;
  /** A failover as clients see it: connections break, new ones reach another server. */
  pointTo(target: Address): void;
  /** From now on every byte is swallowed, both ways, and connections stay open. */
  fallSilent(): void;
  /** New connections pass again. Those that fell silent stay silent: they will never be answered. */
  letThrough(): void;
  /** Milliseconds that every piece of data takes longer, each way. */
  delayMs: number;
  /** The next statements with this text break at these points, one each. */
  cutNext(statement: string, points: readonly CutPoint[]): void;
  /** The cuts made so far. */
  readonly cuts: readonly CutPoint[];
}

/** Listens on a free port of loopback. */
export const startPostgresProxy = async (target: Address): Promise<PostgresProxy> => {
  const state = { target, silent: false, delayMs: 0, planned: [] as CutPoint[], statement: '', cuts: [] as CutPoint[] };
  const links = new Set<Link>();
  const server = createServer((near) => {
    const link = new Link(near, state);
    links.add(link);
    near.on('close', () => links.delete(link));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const breakAll = () => {
    for (const link of links) link.break();
  };
  return {
    port: (server.address() as AddressInfo).port,
    pointTo: (other) => {
      state.target = other;
      breakAll();
    },
    fallSilent: () => {
      state.silent = true;
      for (const link of links) link.silent = true;
    },
    letThrough: () => {
      state.silent = false;
    },
    get delayMs() {
      return state.delayMs;
    },
    set delayMs(ms) {
      state.delayMs = ms;
    },
    cutNext: (statement, points) => {
      state.statement = statement;
      state.planned.push(...points);
    },
    cuts: state.cuts,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      breakAll();
      await closed;
    },
  };
};

interface ProxyState {
  readonly target: Address;
  readonly silent: boolean;
  readonly delayMs: number;
  readonly planned: CutPoint[];
  readonly statement: string;
  readonly cuts: CutPoint[];
}

/** One client's connection and the one to the server that belongs to it. */
class Link {
  readonly #near: Socket;
  readonly #far: Socket;
  readonly #state: ProxyState;
  readonly #messages = new FrontendMessages();
  /** What has come of a statement that is to be cut, and where. */
  #held: Buffer[] | undefined;
  #point: CutPoint | undefined;
  #answer = Buffer.alloc(0);
  silent: boolean;
  /** It is being broken: each end goes once what it was given last has left. */
  #over = false;

  constructor(near: Socket, state: ProxyState) {
    this.#near = near;
    this.#state = state;
    this.silent = state.silent;
    this.#far = connect(state.target.port, state.target.host);
    for (const socket of [near, this.#far]) {
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', () => {
        if (!this.silent && !this.#over) this.break();
      });
    }
    near.on('data', (data: Buffer) => void this.#later(() => this.#fromClient(data)));
    this.#far.on('data', (data: Buffer) => void this.#later(() => this.#fromServer(data)));
  }

  break(): void {
    this.#near.destroy();
    this.#far.destroy();
  }

  async #later(pass: () => void): Promise<void> {
    if (this.silent) return;
    // Timers of one length fire in the order in which they were set.
    if (this.#state.delayMs > 0) await sleep(this.#state.delayMs);
    pass();
  }

  #fromClient(data: Buffer): void {
    for (const { type, bytes } of this.#messages.read(data)) {
      const { planned, statement } = this.#state;
      if (this.#point === undefined && type === 'P' && planned.length > 0 && bytes.includes(statement)) {
        this.#point = planned.shift();
        this.#held = [];
      }
      if (this.#held === undefined) {
        if (this.#far.writable) this.#far.write(bytes);
      } else {
        this.#held.push(bytes);
        if (type === 'S') this.#cut(this.#held);
      }
    }
  }

  #cut(messages: readonly Buffer[]): void {
    this.#held = undefined;
    const whole = Buffer.concat(messages);
    const sync = messages.at(-1)?.length ?? 0;
    const sent = {
      before: whole.subarray(0, 0),
      in_its_middle: whole.subarray(0, whole.length / 2),
      before_its_commit: whole.subarray(0, whole.length - sync),
      after_its_commit_was_sent: whole,
      before_the_answer: whole,
      in_the_answer: whole,
    }[this.#point ?? 'before'];
    if (this.#point === 'before_the_answer' || this.#point === 'in_the_answer') this.#far.write(sent);
    else this.#broken(() => this.#far.end(sent));
  }

  #fromServer(data: Buffer): void {
    if (this.#point === undefined || this.#held !== undefined) {
      if (this.#near.writable) this.#near.write(data);
      return;
    }
    this.#answer = Buffer.concat([this.#answer, data]);
    // ReadyForQuery, idle: the transaction is committed.
    if (!this.#answer.subarray(-6).equals(Buffer.from([0x5a, 0, 0, 0, 5, 0x49]))) return;
    const arrives = this.#point === 'in_the_answer' ? this.#answer.subarray(0, this.#answer.length / 2) : undefined;
    this.#broken(() => this.#near.end(arrives ?? ''));
  }

  #broken(lastWords: () => void): void {
    if (this.#point !== undefined) this.#state.cuts.push(this.#point);
    this.#over = true;
    lastWords();
    this.#near.destroySoon();
    this.#far.destroySoon();
  }
}
