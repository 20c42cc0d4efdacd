import { setTimeout as sleep } from 'node:timers/promises';
import { and, arrayContains, eq, gt, inArray, isNull, or } from 'drizzle-orm';
import type { Logger } from 'pino';
import { reasonOf } from '../../base/errors.ts';
import type { Pool } from '../../postgres/pool.ts';
import { db } from '../../postgres/queries.ts';
import { sqlState } from '../../postgres/sql-state.ts';
import { accessTokens, consoleSessions } from '../../postgres/tables/access.ts';
import { databaseTime } from '../../postgres/tables/column-types.ts';
import { type AccessLimit, type AccessNote, type AccessSource, RepeatedAccess, type SessionProof } from './access.ts';
import { noteAccess } from './access-log.sql.ts';
import { type ActiveToken, hashOfToken, readActiveTokens, TOKEN_PREFIX } from './tokens.sql.ts';

/** A revoked token stays usable for at most this long, plus the time of a statement. */
const TOKENS_FOR_MS = 5_000;
/** Bounds the statements that wrong tokens can cause. */
const BETWEEN_READS_MS = 250;
/** For due sums, and retries of rows that could not be written. */
const SWEEP_MS = 5_000;
/** Rows waiting for a database that does not answer. */
const MAX_WAITING = 10_000;
/** After this, waiting rows are a trouble. */
const WAIT_MS = 180_000;
const MAX_AT_ONCE = 500;
const CLOSE_TIMEOUT_MS = 2_000;

interface Access {
  readonly source: AccessSource;
  close(): Promise<void>;
}

interface AccessOptions {
  readonly pool: Pool;
  readonly logger: Logger;
  /** Rows that could not be written to `access_log`. */
  readonly onLost: (count: number) => void;
  readonly onLimit: (limit: AccessLimit) => void;
}

/** Reads and writes nothing before it is asked. */
export const openAccess = ({ pool, logger, onLost, onLimit }: AccessOptions): Access => {
  const tokens = new ActiveTokens(() => readActiveTokens(pool));
  const trail = new AccessTrail(pool, logger, onLost, onLimit);
  return {
    source: {
      // Only text that looks like a token is looked up in the database.
      tokenOf: async (text) => (text.startsWith(TOKEN_PREFIX) ? await tokens.find(text) : undefined),
      hasTokens: () => tokens.any().catch(() => false),
      sessions: {
        start: (session) => startSession(pool, session),
        find: (keys) => findSession(pool, keys),
        end: (keys) => endSession(pool, keys),
      },
      note: (note) => trail.note(note),
      trouble: () => trail.trouble(performance.now()),
    },
    close: () => trail.close(),
  };
};

type TokensByHash = ReadonlyMap<string, ActiveToken & { readonly untilMs: number }>;

/** Read again every few seconds, and sooner for an unknown text: it may be new. Rejects if that fails: an old list may hold a revoked one. */
class ActiveTokens {
  readonly #read: () => Promise<readonly ActiveToken[]>;
  #list: Promise<TokensByHash> | undefined;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #next: Promise<TokensByHash> | undefined;

  constructor(read: () => Promise<readonly ActiveToken[]>) {
    this.#read = read;
  }

  async find(text: string): Promise<ActiveToken | undefined> {
    const hash = hashOfToken(text);
    const isFresh = performance.now() - this.#readAtMs < TOKENS_FOR_MS;
    const known = isFresh ? (await this.#list)?.get(hash) : undefined;
    const token = known ?? (await this.#again()).get(hash);
    return token !== undefined && token.untilMs > performance.now() ? token : undefined;
  }

  async any(): Promise<boolean> {
    const isFresh = performance.now() - this.#readAtMs < TOKENS_FOR_MS;
    const list = (isFresh ? await this.#list : undefined) ?? (await this.#again());
    return [...list.values()].some(({ untilMs }) => untilMs > performance.now());
  }

  #again(): Promise<TokensByHash> {
    const pauseMs = Math.max(0, this.#readAtMs + BETWEEN_READS_MS - performance.now());
    this.#next ??= sleep(pauseMs).then(() => {
      this.#next = undefined;
      this.#readAtMs = performance.now();
      const list = this.#load(this.#readAtMs);
      this.#list = list;
      list.catch(() => {
        this.#list = undefined;
      });
      return list;
    });
    return this.#next;
  }

  async #load(nowMs: number): Promise<TokensByHash> {
    const tokens = await this.#read();
    return new Map(
      tokens.map((token) => [
        token.hash,
        { ...token, untilMs: nowMs + (token.expiresInMs ?? Number.POSITIVE_INFINITY) },
      ]),
    );
  }
}

/** Writes to the log at once and to the table as soon as it can; a request waits for neither. */
class AccessTrail {
  readonly #pool: Pool;
  readonly #logger: Logger;
  readonly #onLost: (count: number) => void;
  readonly #repeated: RepeatedAccess;
  readonly #timer: NodeJS.Timeout;
  #waiting: AccessNote[] = [];
  #writing: Promise<void> | undefined;
  #trouble: { readonly sinceMs: number; readonly reason: string } | undefined;

  constructor(pool: Pool, logger: Logger, onLost: (count: number) => void, onLimit: (limit: AccessLimit) => void) {
    this.#pool = pool;
    this.#logger = logger;
    this.#onLost = onLost;
    this.#repeated = new RepeatedAccess(onLimit);
    this.#timer = setInterval(() => this.#sweep(performance.now()), SWEEP_MS).unref();
  }

  note(note: AccessNote): void {
    this.#keep(this.#repeated.add(note, performance.now()));
  }

  trouble(nowMs: number): string | undefined {
    return this.#trouble !== undefined && nowMs - this.#trouble.sinceMs >= WAIT_MS ? this.#trouble.reason : undefined;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#sweep(Number.POSITIVE_INFINITY);
    await Promise.race([this.#write(), sleep(CLOSE_TIMEOUT_MS, undefined, { ref: false })]);
    this.#lose(this.#waiting.splice(0), 'the database did not answer before the end of the process');
  }

  #sweep(nowMs: number): void {
    this.#keep(this.#repeated.take(nowMs));
  }

  #keep(notes: readonly AccessNote[]): void {
    for (const note of notes) this.#logger.info({ access: note }, `access: ${note.kind} ${note.outcome}`);
    this.#waiting.push(...notes.map(({ whole: _whole, ...row }) => row));
    if (this.#waiting.length > MAX_WAITING) {
      this.#lose(this.#waiting.splice(MAX_WAITING), 'too many rows wait for the database');
    }
    void this.#write();
  }

  /** One statement at a time. What the database refuses is lost; what it does not answer waits for the next sweep. */
  #write(): Promise<void> {
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, MAX_AT_ONCE);
      try {
        await noteAccess(this.#pool, batch);
        this.#trouble = undefined;
      } catch (error) {
        this.#trouble = { sinceMs: this.#trouble?.sinceMs ?? performance.now(), reason: reasonOf(error) };
        if (isRefusal(error)) this.#lose(batch, reasonOf(error));
        else {
          this.#waiting.unshift(...batch);
          return;
        }
      }
    }
  }

  #lose(notes: readonly AccessNote[], reason: string): void {
    if (notes.length === 0) return;
    this.#onLost(notes.length);
    this.#logger.error({ rows: notes.length, reason }, 'failed to write to access_log');
  }
}

/** False also for a server that stops, is read-only for a while, or has no room for a connection. */
const isRefusal = (error: unknown): boolean => {
  const state = sqlState(error);
  return state !== undefined && !/^(08|25|40|53|57)/.test(state);
};

/** Per token; the oldest ones end. It bounds the table. */
const MAX_SESSIONS = 1_000;

interface ConsoleSession {
  /** Null: ORGTRAIL_FEED_TOKEN. */
  readonly tokenName: string | null;
}

/** Also removes sessions that have expired. */
const startSession = async (
  pool: Pool,
  session: {
    readonly key: Buffer;
    readonly tokenId: number | undefined;
    readonly seconds: number;
    readonly proof: SessionProof | undefined;
  },
): Promise<void> => {
  await pool.query(
    `with ended as (
       delete from console_sessions where expires_at <= clock_timestamp() or key in (
         select key from console_sessions where token_id is not distinct from $2::bigint
         order by created_at desc offset ${MAX_SESSIONS - 1}))
     insert into console_sessions (key, token_id, expires_at)
     values ($1, $2::bigint, clock_timestamp() + make_interval(secs => $3))`,
    [session.key, session.tokenId ?? null, session.seconds],
  );
  const { key, proof } = session;
  // A token of an earlier version proves nothing, but still signs in.
  if (proof !== undefined) {
    await pool.query('select orgtrail_prove_session($1, $2, $3)', [key, proof.token, proof.session]);
  }
};

/** Its token must still open the console. */
const findSession = async (pool: Pool, keys: readonly Buffer[]): Promise<ConsoleSession | undefined> => {
  const { tokenId, expiresAt } = consoleSessions;
  const opensConsole = and(
    isNull(accessTokens.revokedAt),
    arrayContains(accessTokens.scopes, ['search']),
    or(isNull(accessTokens.expiresAt), gt(accessTokens.expiresAt, databaseTime)),
  );
  const [session] = await db(pool)
    .select({ tokenName: accessTokens.name })
    .from(consoleSessions)
    .leftJoin(accessTokens, eq(accessTokens.id, tokenId))
    .where(and(inArray(consoleSessions.key, keys), gt(expiresAt, databaseTime), or(isNull(tokenId), opensConsole)));
  return session;
};

const endSession = async (pool: Pool, keys: readonly Buffer[]): Promise<void> => {
  await db(pool).delete(consoleSessions).where(inArray(consoleSessions.key, keys));
};
