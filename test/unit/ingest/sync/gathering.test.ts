import { describe, expect, test } from 'vitest';
import { Gathering, type Outcome } from '../../../../src/ingest/sync/commit/page-commits.sql.ts';

describe('what waits goes together', () => {
  test('nothing waits while a call is free', () => {
    const { gathering, begun } = opened({ maxCalls: 2 });
    void gathering.add('a');
    void gathering.add('b');
    expect(begun()).toEqual([['a'], ['b']]);
  });

  test('what comes meanwhile goes in the next call, in the order of its coming, and each has its own result', async () => {
    const { gathering, begun, end } = opened();
    const first = gathering.add('a');
    const others = ['c', 'b', 'd'].map((item) => gathering.add(item));
    expect(begun()).toEqual([['a']]);
    await end(0, [result('A')]);
    expect(begun()).toEqual([['a'], ['c', 'b', 'd']]);
    await end(1, [result('C'), result('B'), result('D')]);
    expect(await Promise.all([first, ...others])).toEqual(['A', 'C', 'B', 'D']);
  });

  test('a call takes no more than it has room for, and one at least', async () => {
    const { gathering, begun, end } = opened();
    const all = ['a', 'b:40', 'c:50', 'd:20', 'e:50', 'f:50'].map((item) => gathering.add(item));
    for (let call = 0; call < 4; call += 1) await end(call, [result('1'), result('2')]);
    expect(begun()).toEqual([['a'], ['b:40', 'c:50'], ['d:20', 'e:50'], ['f:50']]);
    expect(await Promise.all(all)).toEqual(['1', '1', '2', '1', '2', '1']);
  });

  test('what is heavy neither waits nor holds up what does', async () => {
    const { gathering, begun, end } = opened();
    void gathering.add('heavy:Infinity');
    void gathering.add('a');
    void gathering.add('heavy:51');
    const waiting = gathering.add('b');
    expect(begun()).toEqual([['heavy:Infinity'], ['a'], ['heavy:51']]);
    await end(1, [result('A')]);
    await end(3, [result('B')]);
    expect(await waiting).toBe('B');
  });
});

test('an item of a call that the call leaves out goes alone, and holds up neither the others nor what waits', async () => {
  const { gathering, begun, end } = opened();
  void gathering.add('a');
  const [left, done] = [gathering.add('b'), gathering.add('c')];
  await end(0, [result('A')]);
  const next = gathering.add('d');
  await end(1, ['alone', result('C')]);
  expect(await done).toBe('C');
  expect(begun().slice(2)).toEqual([['b'], ['d']]);
  await end(3, [result('D')]);
  expect(await next).toBe('D');
  await end(2, [result('B')]);
  expect(await left).toBe('B');
});

test('an item of a call fails with its call, and the next call begins', async () => {
  const { gathering, begun, calls, settle } = opened();
  const first = gathering.add('a');
  const lost = Promise.allSettled([gathering.add('b'), gathering.add('c')]);
  calls[0]?.end.reject(new Error('first'));
  await expect(first).rejects.toThrow('first');
  await settle();
  void gathering.add('d');
  calls[1]?.end.reject(new Error('both'));
  const both = { status: 'rejected', reason: new Error('both') };
  expect(await lost).toEqual([both, both]);
  await settle();
  expect(begun()).toEqual([['a'], ['b', 'c'], ['d']]);
});

test('a call that is slow does not hold up what waits, and counts no more when it ends', async () => {
  const { gathering, begun, calls, end } = opened({ slowCallMs: 1 });
  void gathering.add('slow');
  const waiting = gathering.add('b');
  await expect.poll(begun).toEqual([['slow'], ['b']]);
  await end(0, [result('late')]);
  await end(1, [result('B')]);
  expect([await waiting, calls.length]).toEqual(['B', 2]);
});

/** Calls that the test ends. An item's weight is its number behind a colon, in hundredths. */
const opened = ({ maxCalls = 1, slowCallMs = 600_000 } = {}) => {
  const calls: { items: readonly string[]; end: PromiseWithResolvers<readonly Outcome<string>[]> }[] = [];
  const begin = async (items: readonly string[]) => {
    const end = Promise.withResolvers<readonly Outcome<string>[]>();
    calls.push({ items, end });
    return await end.promise;
  };
  const gathering = new Gathering<string, string>({
    together: begin,
    alone: async (item) => {
      const [outcome = 'alone'] = await begin([item]);
      return outcome === 'alone' ? `${item} alone` : outcome.result;
    },
    weightOf: (item) => Number(item.split(':')[1] ?? 1) / 100,
    maxCalls,
    slowCallMs,
  });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  const end = async (call: number, outcomes: readonly Outcome<string>[]) => {
    calls[call]?.end.resolve(outcomes);
    await settle();
  };
  return { gathering, calls, end, settle, begun: () => calls.map(({ items }) => items) };
};

const result = (text: string): Outcome<string> => ({ result: text });
