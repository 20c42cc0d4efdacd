/** The process has ended, as by `kill -9`. */
export class Crash extends Error {}

/**
 * A store whose process may end before a statement is sent, or after it was done and before its answer has come: then `Crash` is thrown,
 * by every later call as well.
 */
export const crashingStore = <Store extends object>(
  store: Store,
  crashes: (call: string) => 'before' | 'after' | undefined,
): Store => {
  let isDead = false;
  const crashing = Object.entries(store).map(([name, call]) => {
    const method = async (...values: unknown[]) => {
      if (isDead) throw new Crash();
      const at = crashes(name);
      isDead = at !== undefined;
      if (at === 'before') throw new Crash();
      const answer = await (call as (...all: unknown[]) => Promise<unknown>)(...values);
      if (at === 'after') throw new Crash();
      return answer;
    };
    return [name, method];
  });
  return Object.fromEntries(crashing) as unknown as Store;
};
