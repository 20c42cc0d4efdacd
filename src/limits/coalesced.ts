/**
 * A reading that many ask for at once. Calls that come while one is under way share the next one: each gets a reading that
 * began after its call, and however many there are, no more than one is under way.
 */
export const coalesced = <T>(read: () => Promise<T>): (() => Promise<T>) => {
  let underWay: Promise<unknown> | undefined;
  let next: Promise<T> | undefined;
  const start = (): Promise<T> => {
    next = undefined;
    const reading = read();
    const over = () => {
      underWay = undefined;
    };
    underWay = reading.then(over, over);
    return reading;
  };
  return () => {
    if (underWay === undefined && next === undefined) return start();
    next ??= (underWay ?? Promise.resolve()).then(start);
    return next;
  };
};
