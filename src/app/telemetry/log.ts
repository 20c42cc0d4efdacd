import { Writable } from 'node:stream';
import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';
import { withoutControls } from '../../base/text.ts';
import type { Pool } from '../../postgres/pool.ts';
import { type MigrationStep, migrateDatabase, type SchemaState } from '../../postgres/schema/migrate.ts';
import type { OnBlocked } from '../../postgres/schema/online-index.ts';
import type { LogLevel } from '../config/environment-schema.ts';

interface LogOptions {
  readonly level: LogLevel;
  readonly format: 'json' | 'pretty';
  readonly destination: Writable;
  readonly secrets: readonly string[];
}

/** Shorter ones would blank out ordinary words. */
const MIN_SECRET = 6;

/** It is never given a credential; should one reach a message anyway (an error of a library), it is blanked (invariant 12). */
export const createLogger = (options: LogOptions): Logger => {
  const blank = (line: string): string =>
    options.secrets.reduce(
      (text, secret) => (secret.length >= MIN_SECRET ? text.replaceAll(secret, '[secret]') : text),
      line,
    );
  const settings = {
    level: options.level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    hooks: { streamWrite: (line: string) => withoutControls(blank(line)) },
  };
  if (options.format === 'json') return pino(settings, options.destination);
  return pino(
    settings,
    pretty({
      destination: harmless(options.destination),
      sync: true,
      singleLine: true,
      colorize: false,
      translateTime: 'SYS:HH:MM:ss',
    }),
  );
};

/** The lines for people are rebuilt from the JSON: the terminal must not obey control characters in quoted text. */
const harmless = (destination: Writable): Writable =>
  new Writable({
    decodeStrings: false,
    write: (chunk: string | Buffer, _encoding, done) => {
      destination.write(withoutControls(String(chunk)));
      done();
    },
  });

/** An index over all events takes minutes, and must not look like a start that hangs. */
const TELL_EVERY_MS = 10_000;
const NAME_AGAIN_MS = 60_000;

/** Logs the beginning, the current step every ten seconds, and the end. Says nothing if the schema is current. */
export const migrateWithLog = async (
  pool: Pool,
  logger: Logger,
  options: { readonly roles?: boolean; readonly tellEveryMs?: number } = {},
): Promise<SchemaState> => {
  const beganAt = performance.now();
  const seconds = () => Math.round((performance.now() - beganAt) / 1_000);
  let step: MigrationStep | undefined;
  const timer = setInterval(() => {
    if (step !== undefined) logger.warn({ ...step, seconds: seconds() }, 'schema migration still in progress');
  }, options.tellEveryMs ?? TELL_EVERY_MS);
  const onStep = (next: MigrationStep) => {
    if (step === undefined) logger.info({ migrations: next.of }, 'migrating the schema');
    step = next;
  };
  try {
    const schema = await migrateDatabase(pool, {
      roles: options.roles === true,
      onStep,
      onWait: () => logger.info('waiting for another migration'),
      onBlocked: logBlocked(logger),
    });
    if (step !== undefined) logger.info({ migrations: step.of, seconds: seconds() }, 'schema migrated');
    return schema;
  } finally {
    clearInterval(timer);
  }
};

export const logBlocked = (logger: Logger): OnBlocked => {
  let named = '';
  let againAt = 0;
  return ({ statement, blockers }) => {
    const names = `${statement} ${blockers.map(({ pid }) => pid).join(' ')}`;
    if (names === named && performance.now() < againAt) return;
    named = names;
    againAt = performance.now() + NAME_AGAIN_MS;
    logger.warn({ statement: statement.replaceAll(/\s+/g, ' ').slice(0, 200), blockers }, 'waiting for other sessions');
  };
};

/** `names` are the events; an observer without a handler for one does not receive it. */
export const teeObserver = <Observer extends object>(
  names: readonly (keyof Observer)[],
  observers: readonly Observer[],
): Observer =>
  Object.fromEntries(
    names.map((name) => [
      name,
      (event: unknown) => {
        for (const observer of observers) (observer[name] as ((event: unknown) => void) | undefined)?.(event);
      },
    ]),
  ) as Observer;
