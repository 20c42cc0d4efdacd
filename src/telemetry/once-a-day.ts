const DAY_MS = 86_400_000;

/** True if `key` has not been let through for a day. `nowMs` is a clock that never goes back; a restart forgets all keys. */
export const onceADay = (nowMs: () => number): ((key: string) => boolean) => {
  const letThroughAtMs = new Map<string, number>();
  return (key) => {
    const lastMs = letThroughAtMs.get(key);
    if (lastMs !== undefined && nowMs() - lastMs < DAY_MS) return false;
    letThroughAtMs.set(key, nowMs());
    return true;
  };
};
