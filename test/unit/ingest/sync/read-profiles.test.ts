import { expect, test } from 'vitest';
import { ApiError } from '../../../../src/errors.ts';
import { readProfiles } from '../../../../src/ingest/sync/discovery/discover.ts';
import type { SyncContext } from '../../../../src/ingest/sync/ports.ts';

/** A context with organizations that have no profile yet. Each question waits until it is answered. */
const withQuestions = (ids: readonly string[], refused: 'one' | 'all' = 'one') => {
  const asked: { readonly id: string; readonly answer: (profile: unknown) => void }[] = [];
  const recorded: string[] = [];
  let heard = Promise.withResolvers<void>();
  const context = {
    store: {
      withoutProfile: async () => ids,
      recordProfile: async (id: string) => void recorded.push(id),
      recordProfileRefused: async () => refused,
    },
    api: {
      getProfile: (id: string) =>
        new Promise((resolve, reject) => {
          const answer = (profile: unknown) => (profile instanceof Error ? reject(profile) : resolve(profile));
          asked.push({ id, answer });
          heard.resolve();
        }),
    },
  } as unknown as SyncContext;
  /** Resolves with the next question, in the order of their coming. */
  const question = async (number: number) => {
    for (;;) {
      const found = asked[number];
      if (found !== undefined) return found;
      heard = Promise.withResolvers<void>();
      await heard.promise;
    }
  };
  return { context, asked, recorded, question };
};

const signal = new AbortController().signal;
const forbidden = () => new ApiError('refused', 'no profiles for this token');

test('the first profile is asked for alone, the others several at a time', async () => {
  const { context, asked, recorded, question } = withQuestions(['a', 'b', 'c', 'd', 'e']);
  const reading = readProfiles(context, 10, signal, 3);
  const first = await question(0);
  expect(asked.length).toBe(1);
  first.answer({});
  await question(3);
  expect(asked.map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd']);
  asked[2]?.answer({});
  (await question(4)).answer({});
  for (const { answer } of asked) answer({});
  await reading;
  expect(recorded.sort()).toEqual(['a', 'b', 'c', 'd', 'e']);
});

test('one refusal is enough if it is about all profiles', async () => {
  const { context, asked, question } = withQuestions(['a', 'b', 'c', 'd'], 'all');
  const reading = readProfiles(context, 10, signal, 3);
  (await question(0)).answer(forbidden());
  await reading;
  expect(asked.map(({ id }) => id)).toEqual(['a']);
});

test('a profile that is refused or fails is left out', async () => {
  const { context, recorded, question } = withQuestions(['a', 'b', 'c']);
  const reading = readProfiles(context, 10, signal, 2);
  (await question(0)).answer(forbidden());
  (await question(1)).answer(new ApiError('timeout', 'no answer'));
  (await question(2)).answer({});
  await reading;
  expect(recorded).toEqual(['c']);
});

test('nothing is begun after the database has failed', async () => {
  const { context, asked, question } = withQuestions(['a', 'b', 'c', 'd', 'e']);
  const reading = readProfiles(context, 10, signal, 2);
  (await question(0)).answer({});
  (await question(1)).answer(new Error('the database is away'));
  await expect(reading).rejects.toThrow('the database is away');
  asked[2]?.answer({});
  expect(asked.map(({ id }) => id)).toEqual(['a', 'b', 'c']);
});
