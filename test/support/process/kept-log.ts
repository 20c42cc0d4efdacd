import { Writable } from 'node:stream';
import type { LogLevel } from '../../../src/app/config/environment-schema.ts';
import { createLogger } from '../../../src/app/telemetry/log.ts';

/** A log that is kept: its lines, and what they say. */
export const keptLog = (level: LogLevel = 'info', secrets: readonly string[] = []) => {
  const lines: string[] = [];
  const destination = new Writable({
    write: (chunk, _encoding, done) => {
      lines.push(String(chunk));
      done();
    },
  });
  const logger = createLogger({ level, format: 'json', destination, secrets });
  return { lines, logger, entries: () => lines.map((line): Record<string, unknown> => JSON.parse(line)) };
};
