import { randomUUID } from 'node:crypto';
import type { Client, Pool } from 'pg';

/** Notified by each page commit with new events (the function orgtrail_commit_page_2). */
const CHANNEL = 'orgtrail_feed';
/** For our own notification to come back: if it does not, none do (there is a pooler in between). */
const PROBE_TIMEOUT_MS = 3_000;
/** How often a reader that waits looks, without notifications. */
const LOOK_EVERY_MS = 1_000;
/** However many notifications come: any account can send them. */
const LEAST_BETWEEN_HINTS_MS = 20;
const RECONNECT_AFTER_MS = 30_000;

interface FeedSignalOptions {
  /** Not yet connected: LISTEN needs a connection of its own. */
  readonly createClient: () => Client;
  readonly pool: Pool;
  readonly headPosition: () => Promise<number>;
  /** Hears once why notifications do not arrive. */
  readonly onFallback: (reason: string) => void;
  /** Default 3 s. */
  readonly probeTimeoutMs?: number;
}

/** One listener for all that wait in this process: none of them asks again and again. It connects when the first one waits. */
export class FeedSignal {
  private readonly waiting = new Set<(head: number) => void>();
  private state: 'idle' | 'connecting' | 'listening' | 'looking' | 'closed' = 'idle';
  private client: Client | undefined;
  private timer: NodeJS.Timeout | undefined;
  private toldFallback = false;
  private seen = 0;
  /** There may be more than `seen`: a hint came while no reader waited. */
  private isStale = false;
  private hintTimer: NodeJS.Timeout | undefined;
  private hinted = false;
  /** One after another: what an older look saw must not replace what a later one saw. */
  private looking: Promise<void> = Promise.resolve();
  private readonly options: FeedSignalOptions;

  constructor(options: FeedSignalOptions) {
    this.options = options;
  }

  /** Resolves when there may be events behind `position`, after `timeoutMs`, or when `signal` aborts. Never rejects. */
  waitBeyond(position: number, timeoutMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timeout);
        this.waiting.delete(wake);
        signal.removeEventListener('abort', end);
        resolve();
      };
      const wake = (head: number) => {
        if (head > position) end();
      };
      const timeout = setTimeout(end, timeoutMs);
      if (signal.aborted || this.state === 'closed') return end();
      if (this.state === 'listening' && this.seen > position) return end();
      signal.addEventListener('abort', end, { once: true });
      this.waiting.add(wake);
      if (this.state === 'idle') void this.listen();
      else if (this.isStale) void this.look();
    });
  }

  close(): void {
    this.state = 'closed';
    clearTimeout(this.timer);
    clearTimeout(this.hintTimer);
    this.wakeAll(Number.POSITIVE_INFINITY);
    // Not awaited: a server that does not answer must not hold up a stop.
    void this.client?.end().catch(() => {});
  }

  private wakeAll(head: number): void {
    this.seen = head;
    for (const wake of [...this.waiting]) wake(head);
  }

  /** Any account may notify, and say any number: it is no more than a hint to look. */
  private hear(payload: string | undefined): void {
    if (Number(payload) <= this.seen) return;
    this.isStale = true;
    this.hinted = true;
    if (this.hintTimer === undefined) this.followHint();
  }

  private followHint(): void {
    this.hintTimer = undefined;
    if (!this.hinted || this.state === 'closed') return;
    this.hinted = false;
    if (this.waiting.size > 0) void this.look();
    this.hintTimer = setTimeout(() => this.followHint(), LEAST_BETWEEN_HINTS_MS);
  }

  private look(): Promise<void> {
    this.looking = this.looking.then(async () => {
      try {
        this.isStale = false;
        this.wakeAll(await this.options.headPosition());
      } catch {
        // Readers that wait ask for the head themselves, and say what is wrong.
      }
    });
    return this.looking;
  }

  private async listen(): Promise<void> {
    this.state = 'connecting';
    const client = this.options.createClient();
    this.client = client;
    client.on('error', (error: Error) => this.fallBack(client, error.message));
    client.on('end', () => this.fallBack(client, 'the connection ended'));
    try {
      await client.connect();
      await client.query(`listen ${CHANNEL}`);
      await this.probe(client);
      if (this.client !== client || this.state !== 'connecting') return;
      this.state = 'listening';
      this.toldFallback = false;
      client.on('notification', ({ payload }) => this.hear(payload));
    } catch (error) {
      this.fallBack(client, error instanceof Error ? error.message : String(error));
    }
    // For what was committed before the connection listened.
    await this.look();
  }

  /** A pooler takes LISTEN, and never hands on a notification: one from another connection has to come back. */
  private async probe(client: Client): Promise<void> {
    const token = randomUUID();
    const arrived = Promise.withResolvers<void>();
    const onNotification = ({ payload }: { payload?: string | undefined }) => {
      if (payload === token) arrived.resolve();
    };
    client.on('notification', onNotification);
    let timeout: NodeJS.Timeout | undefined;
    try {
      await this.options.pool.query('select pg_notify($1, $2)', [CHANNEL, token]);
      // Only now: a database that is busy sends late, and a promise that rejects while it is not awaited ends the process.
      timeout = setTimeout(
        () => arrived.reject(new Error('notifications do not arrive, as behind a pooler')),
        this.options.probeTimeoutMs ?? PROBE_TIMEOUT_MS,
      );
      await arrived.promise;
    } finally {
      clearTimeout(timeout);
      client.removeListener('notification', onNotification);
    }
  }

  private fallBack(client: Client, reason: string): void {
    if (this.client !== client || this.state === 'closed') return;
    this.client = undefined;
    client.end().catch(() => {});
    this.state = 'looking';
    if (!this.toldFallback) this.options.onFallback(reason);
    this.toldFallback = true;
    const listenAgainAt = performance.now() + RECONNECT_AFTER_MS;
    const tick = async () => {
      if (this.waiting.size > 0) await this.look();
      if (this.state !== 'looking') return;
      if (performance.now() >= listenAgainAt) {
        if (this.waiting.size > 0) return await this.listen();
        this.state = 'idle';
        return;
      }
      this.timer = setTimeout(() => void tick(), LOOK_EVERY_MS);
    };
    this.timer = setTimeout(() => void tick(), LOOK_EVERY_MS);
  }
}
