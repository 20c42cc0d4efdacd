import { Writable } from 'node:stream';
import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';
import type { LogLevel } from '../config/environment-schema.ts';
import { withoutControls } from '../text/terminal.ts';

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: 'json' | 'pretty';
  readonly destination: Writable;
  /** Values that must not appear in any line, wherever they come from. More may be added while the log is in use. */
  readonly secrets: readonly string[];
}

/** Shorter ones would blank out ordinary words. */
const MIN_SECRET = 6;

/**
 * The log of the process: one JSON object per line, or lines for people. It is never given a credential; should one reach
 * a message anyway (an error of a library), it is blanked before the line is written (invariant 12).
 */
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
