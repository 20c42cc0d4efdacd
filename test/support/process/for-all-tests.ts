import { afterAll, beforeAll } from 'vitest';

type Closable =
  | AsyncDisposable
  | { close(): Promise<unknown> }
  | { end(): Promise<unknown> }
  | { stop(): Promise<unknown> };

/** Stands for what is there only once the tests run. */
export const standIn = <T extends object>(of: () => T): T =>
  new Proxy({} as T, {
    get: (_, key) => {
      const one = of();
      const value: unknown = Reflect.get(one, key);
      return typeof value === 'function' ? value.bind(one) : value;
    },
    has: (_, key) => Reflect.has(of(), key),
    getPrototypeOf: () => Reflect.getPrototypeOf(of()),
  });

/** What all tests of a file or a `describe` share: opened before the first of them, in the order of the calls, and closed after the last. */
export const forAllTests = <T extends Closable>(open: () => T | Promise<T>): T => {
  let opened: T | undefined;
  beforeAll(async () => {
    opened = await open();
  });
  afterAll(async () => {
    if (opened === undefined) return;
    if (Symbol.asyncDispose in opened) await opened[Symbol.asyncDispose]();
    else await ('close' in opened ? opened.close() : 'end' in opened ? opened.end() : opened.stop());
  });
  return standIn(() => {
    if (opened === undefined) throw new Error('not opened yet: only tests and hooks may use it');
    return opened;
  });
};
