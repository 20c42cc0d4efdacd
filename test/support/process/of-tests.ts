import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';

type Closable = AsyncDisposable | Disposable | { close(): unknown } | { end(): unknown } | { stop(): unknown };

/** Opened before the tests of a file or a `describe`, and closed after them. What is returned stands for it from then on. */
export const ofAllTests = <T extends Closable>(open: () => T | Promise<T>): T => standIn(open, beforeAll, afterAll);

/** The same, for each test a new one. */
export const ofEachTest = <T extends Closable>(open: () => T | Promise<T>): T => standIn(open, beforeEach, afterEach);

const standIn = <T extends Closable>(
  open: () => T | Promise<T>,
  before: (work: () => Promise<void>) => void,
  after: (work: () => Promise<void>) => void,
): T => {
  let opened: T | undefined;
  before(async () => {
    opened = await open();
  });
  after(async () => {
    const last = opened;
    opened = undefined;
    if (last === undefined) return;
    if (Symbol.asyncDispose in last) await last[Symbol.asyncDispose]();
    else if (Symbol.dispose in last) last[Symbol.dispose]();
    else if ('close' in last) await last.close();
    else await ('end' in last ? last.end() : last.stop());
  });
  const get = (_: object, name: string | symbol): unknown => {
    if (opened === undefined) throw new Error(`nothing is open yet, or any more, that could have ${String(name)}`);
    const value = Reflect.get(opened, name);
    return typeof value === 'function' ? value.bind(opened) : value;
  };
  const names = () => Reflect.ownKeys(opened ?? {});
  const describe = (_: object, name: string | symbol) => ({
    configurable: true,
    enumerable: true,
    value: get(_, name),
  });
  // With all of this it can be spread, too.
  return new Proxy({}, { get, ownKeys: names, getOwnPropertyDescriptor: describe }) as T;
};
