/** SQLSTATE of the warning that the database gives when positions jump (drizzle/0012_failover.sql). */
export const JUMP_WARNING = 'OT001';

/**
 * Has the database compare the timeline of the server with that of the last commit, and let positions jump if it is another one.
 * Does nothing for an account that gives out no positions, on a server that is read-only, and before the migration. Every commit
 * compares as well: this is so that readers learn of a jump early.
 */
export const compareTimeline = `do $$ begin
  if has_function_privilege(to_regprocedure('orgtrail_check_timeline()'), 'execute') then perform orgtrail_check_timeline(); end if;
end $$`;

/**
 * Has the database note that it is at work, if nothing has for some seconds: the next jump is not longer for a time without events.
 * Does nothing where `compareTimeline` does nothing.
 */
export const noteAlive = `do $$ begin
  if has_function_privilege(to_regprocedure('orgtrail_note_alive()'), 'execute') then perform orgtrail_note_alive(); end if;
end $$`;

/** SQL for the positions after `from`, up to and with `to`, that a jump left out. Both are SQL expressions. */
export const leftOut = (from: string, to: string): string =>
  `(select coalesce(sum(least(j.to_position, ${to}) - greatest(j.from_position, ${from})), 0) from position_jumps j
     where j.to_position > ${from} and j.from_position < ${to})`;
