import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf } from '../../errors.ts';
import { databaseTrouble } from '../../postgres/database-trouble.ts';

/** A probe is answered by then, whatever the database does. */
const READINESS_TIMEOUT_MS = 3_000;

export interface ReadinessOptions {
  /** `current`, or what is wrong with the schema. */
  readonly schemaState: () => Promise<string>;
  /** What keeps syncing as a whole from going on, although the database may answer. */
  readonly trouble?: () => string | undefined;
}

/**
 * Ready is what can serve and store: the database answers, takes writes and has the current schema. Whether Cloudflare answers is
 * not asked: without it, stored events can still be read. One look at the database at a time: probes of one that does not
 * answer must not use up the connections.
 */
export const readiness = (options: ReadinessOptions): (() => Promise<readonly string[]>) => {
  let underWay: Promise<readonly string[]> | undefined;
  return async () => {
    underWay ??= reasonsByDatabase(options).finally(() => {
      underWay = undefined;
    });
    const timeout = new AbortController();
    const silence = sleep(READINESS_TIMEOUT_MS, ['the database does not answer'], { signal: timeout.signal });
    silence.catch(() => {});
    const reasons = await Promise.race([underWay, silence]);
    timeout.abort();
    const trouble = options.trouble?.();
    return trouble === undefined ? reasons : [...reasons, `syncing fails: ${trouble}`];
  };
};

const reasonsByDatabase = async (options: ReadinessOptions): Promise<string[]> => {
  try {
    const schema = await options.schemaState();
    return schema === 'current' ? [] : [`the schema is ${schema}`];
  } catch (error) {
    const is = databaseTrouble(error) === 'unreachable' ? 'the database does not answer' : 'the status cannot be read';
    return [`${is}: ${reasonOf(error)}`];
  }
};
