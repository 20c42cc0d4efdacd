import { setTimeout as sleep } from 'node:timers/promises';
import { and, arrayContains, eq, gt, inArray, isNull, or } from 'drizzle-orm';
import type { Logger } from 'pino';
import { reasonOf } from '../../base/errors.ts';
import type { Pool } from '../pool.ts';
import { db } from '../queries.ts';
import { sqlState } from '../sql-state.ts';
import { accessTokens, consoleSessions } from '../tables/access.ts';
import { databaseTime } from '../tables/column-types.ts';
import { type AccessLimit, type AccessNote, RepeatedAccess } from './access.ts';
import { noteAccess } from './access-log.sql.ts';
import { type ActiveToken, hashOfToken, readActiveTokens, TOKEN_PREFIX } from './tokens.sql.ts';

/** A revoked token stays usable for at most this long, plus the time of a statement. */
const TOKENS_FOR_MS = 5_000;
/** Bounds the statements that wrong tokens can cause. */
const BETWEEN_READS_MS = 250;
/** For due sums, and retries of rows that could not be written. */
const SWEEP_MS = 5_000;
const MAX_WAITING = 10_000;
/** After this, waiting rows are a trouble. */
const WAIT_MS = 180_000;
const MAX_AT_ONCE = 500;
const CLOSE_TIMEOUT_MS = 2_000;

/** Reads and writes nothing before it is asked. */
export const openAccess = ({ pool, logger, onLost, onLimit }: AccessOptions) => {
  const tokens = activeTokens(() => readActiveTokens(pool));
  const trail = accessTrail({ pool, logger, onLost, onLimit });
  const source = {
    /** Undefined if there is none. Rejects if the database does not answer; only text that looks like a token is looked up there. */
    tokenOf: async (text: string) => (text.startsWith(TOKEN_PREFIX) ? await tokens.find(text) : undefined),
    /** False if that cannot be read. */
    hasTokens: () => tokens.any().catch(() => false),
    sessions: {
      start: (session: NewSession) => startSession(pool, session),
      /** Undefined if it has ended, by itself or with its token. */
      find: (keys: readonly Buffer[]) => findSession(pool, keys),
      end: (keys: readonly Buffer[]) => endSession(pool, keys),
    },
    /** Neither throws nor waits. */
    note: trail.note,
    /** Why no row could be written for minutes. */
    trouble: trail.trouble,
  };
  return { source, close: trail.close };
};

export type AccessSource = ReturnType<typeof openAccess>['source'];

interface AccessOptions {
  readonly pool: Pool;
  readonly logger: Logger;
  readonly onLost: (count: number) => void;
  readonly onLimit: (limit: AccessLimit) => void;
}

type TokensByHash = ReadonlyMap<string, ActiveToken & { readonly untilMs: number }>;

/** Read again every few seconds, and sooner for an unknown text: it may be new. Rejects if that fails: an old list may hold a revoked one. */
const activeTokens = (read: () => Promise<readonly ActiveToken[]>) => {
  let list: Promise<TokensByHash> | undefined;
  let readAtMs = Number.NEGATIVE_INFINITY;
  let next: Promise<TokensByHash> | undefined;
  const load = async (nowMs: number): Promise<TokensByHash> => {
    const tokens = await read();
    return new Map(
      tokens.map((token) => [
        token.hash,
        { ...token, untilMs: nowMs + (token.expiresInMs ?? Number.POSITIVE_INFINITY) },
      ]),
    );
  };
  const again = (): Promise<TokensByHash> => {
    const pauseMs = Math.max(0, readAtMs + BETWEEN_READS_MS - performance.now());
    next ??= sleep(pauseMs).then(() => {
      next = undefined;
      readAtMs = performance.now();
      const latest = load(readAtMs);
      list = latest;
      latest.catch(() => {
        list = undefined;
      });
      return latest;
    });
    return next;
  };
  const fresh = async () => (performance.now() - readAtMs < TOKENS_FOR_MS ? await list : undefined);
  const isInForce = ({ untilMs }: { readonly untilMs: number }): boolean => untilMs > performance.now();
  return {
    find: async (text: string): Promise<ActiveToken | undefined> => {
      const hash = hashOfToken(text);
      const token = (await fresh())?.get(hash) ?? (await again()).get(hash);
      return token !== undefined && isInForce(token) ? token : undefined;
    },
    any: async (): Promise<boolean> => [...((await fresh()) ?? (await again())).values()].some(isInForce),
  };
};

/** Writes to the log at once and to the table as soon as it can; a request waits for neither. */
const accessTrail = ({ pool, logger, onLost, onLimit }: AccessOptions) => {
  const repeated = new RepeatedAccess(onLimit);
  const waiting: AccessNote[] = [];
  let writing: Promise<void> | undefined;
  let trouble: { readonly sinceMs: number; readonly reason: string } | undefined;
  const lose = (notes: readonly AccessNote[], reason: string): void => {
    if (notes.length === 0) return;
    onLost(notes.length);
    logger.error({ rows: notes.length, reason }, 'failed to write to access_log');
  };
  const writeAll = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting.splice(0, MAX_AT_ONCE);
      try {
        await noteAccess(pool, batch);
        trouble = undefined;
      } catch (error) {
        trouble = { sinceMs: trouble?.sinceMs ?? performance.now(), reason: reasonOf(error) };
        if (!isRefusal(error)) return void waiting.unshift(...batch);
        lose(batch, reasonOf(error));
      }
    }
  };
  /** One statement at a time. What the database refuses is lost; what it does not answer waits for the next sweep. */
  const write = (): Promise<void> => {
    writing ??= writeAll().finally(() => {
      writing = undefined;
    });
    return writing;
  };
  const keep = (notes: readonly AccessNote[]): void => {
    for (const note of notes) logger.info({ access: note }, `access: ${note.kind} ${note.outcome}`);
    waiting.push(...notes.map(({ whole: _whole, ...row }) => row));
    if (waiting.length > MAX_WAITING) lose(waiting.splice(MAX_WAITING), 'too many rows wait for the database');
    void write();
  };
  const timer = setInterval(() => keep(repeated.take(performance.now())), SWEEP_MS).unref();
  return {
    note: (note: AccessNote): void => keep(repeated.add(note, performance.now())),
    trouble: () => (trouble && performance.now() - trouble.sinceMs >= WAIT_MS ? trouble.reason : undefined),
    /** Writes the remaining rows if the database answers. */
    close: async (): Promise<void> => {
      clearInterval(timer);
      keep(repeated.take(Number.POSITIVE_INFINITY));
      await Promise.race([write(), sleep(CLOSE_TIMEOUT_MS, undefined, { ref: false })]);
      lose(waiting.splice(0), 'the database did not answer before the end of the process');
    },
  };
};

/** False also for a server that stops, is read-only for a while, or has no room for a connection. */
const isRefusal = (error: unknown): boolean => {
  const state = sqlState(error);
  return state !== undefined && !/^(08|25|40|53|57)/.test(state);
};

/** Per token; the oldest ones end. It bounds the table. */
const MAX_SESSIONS = 1_000;

interface NewSession {
  readonly key: Buffer;
  readonly tokenId: number | undefined;
  readonly seconds: number;
  /** Lets it read the trail of access and replay sinks; undefined for ORGTRAIL_FEED_TOKEN. */
  readonly proof: { readonly token: Buffer; readonly session: Buffer } | undefined;
}

/** Also removes sessions that have expired. */
const startSession = async (pool: Pool, { key, tokenId, seconds, proof }: NewSession): Promise<void> => {
  await pool.query(
    `with ended as (
       delete from console_sessions where expires_at <= clock_timestamp() or key in (
         select key from console_sessions where token_id is not distinct from $2::bigint
         order by created_at desc offset ${MAX_SESSIONS - 1}))
     insert into console_sessions (key, token_id, expires_at)
     values ($1, $2::bigint, clock_timestamp() + make_interval(secs => $3))`,
    [key, tokenId ?? null, seconds],
  );
  // A token of an earlier version proves nothing, but still signs in.
  if (proof !== undefined) {
    await pool.query('select orgtrail_prove_session($1, $2, $3)', [key, proof.token, proof.session]);
  }
};

/** Its token must still open the console. */
const findSession = async (pool: Pool, keys: readonly Buffer[]) => {
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
