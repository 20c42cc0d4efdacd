import type { AccessKind } from '../access/access.ts';
import { noteAccess } from '../access/access-log.sql.ts';
import { reasonOf } from '../errors.ts';
import type { Pool } from '../postgres/pool.ts';
import type { CliContext } from './cli-context.ts';

/** What a command has done, for the trail of access. */
interface DoneCommand {
  readonly kind: AccessKind;
  /** Such as `hold add`. */
  readonly command: string;
  /** Who is said to have asked for it; the trail always has the account of the database. */
  readonly by?: string | undefined;
  /** Its arguments, without secrets. */
  readonly what: Readonly<Record<string, unknown>>;
}

/** Notes it in `access_log`. What was done stays done: a row that cannot be written is a warning on stderr. */
export const noteCommand = async (
  pool: Pool,
  { stderr }: Pick<CliContext, 'stderr'>,
  { kind, command, by, what }: DoneCommand,
): Promise<void> => {
  try {
    await noteAccess(pool, [{ kind, outcome: 'ok', who: by, route: command, what, requests: 1 }]);
  } catch (error) {
    stderr.write(`orgtrail: the command succeeded, but could not be recorded in access_log: ${reasonOf(error)}\n`);
  }
};
