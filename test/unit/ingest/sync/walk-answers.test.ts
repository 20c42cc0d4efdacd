import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { PageAnswer } from '../../../../src/ingest/entries/page.ts';
import { startWalk, type WalkAnswers } from '../../../../src/ingest/planning/walk.ts';
import { claimedReads, withAnswer } from '../../../../src/ingest/sync/turn/walk-answers.ts';

const header = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const answers = fc.array(
  fc.record({
    dateMs: header(fc.integer({ min: 0, max: 4e9 }).map((second) => second * 1_000)),
    cfRay: header(fc.stringMatching(/^[0-9a-f]{16}-[A-Z]{3}$/)),
    body: fc.uint8Array({ maxLength: 40 }),
  }),
  { minLength: 1, maxLength: 12 },
);

const walk = startWalk('live', { fromMs: 1_000_000, toMs: 2_000_000 }, { readAtMs: 2_000_000 });

test('the answers of a walk are one hash: SHA-256 of the one before and that of the body, from 32 zero bytes on', () => {
  fc.assert(
    fc.property(answers, (given) => {
      const made = foldOf(given.map(answerOf));
      const expected = given.reduce<Buffer>((before, { body }) => sha256(before, sha256(body)), Buffer.alloc(32));
      expect(made?.sha256).toBe(expected.toString('hex'));
      expect(made).toMatchObject({
        count: given.length,
        firstDateMs: given[0]?.dateMs ?? null,
        firstCfRay: given[0]?.cfRay ?? null,
        lastDateMs: given.at(-1)?.dateMs ?? null,
        lastCfRay: given.at(-1)?.cfRay ?? null,
      });
    }),
  );
});

test('the answers of a walk come to the same wherever a walk was put down, and whichever of them were questions', () => {
  fc.assert(
    fc.property(answers, fc.nat(), (given, at) => {
      const all = given.map(answerOf);
      const cut = at % (all.length + 1);
      const stored: WalkAnswers | undefined = foldOf(all.slice(0, cut));
      const loaded = stored && (JSON.parse(JSON.stringify(stored)) as WalkAnswers);
      const resumed = { ...walk, ...(loaded && { answers: loaded }) };
      expect(claimedReads(resumed, all.slice(cut))?.answers).toEqual(foldOf(all));
    }),
  );
});

test('the answers of a walk make no record if none is known', () => {
  expect(withAnswer(undefined, undefined)).toBeUndefined();
  expect(claimedReads(walk, [])).toBeUndefined();
});

const sha256 = (...parts: readonly Uint8Array[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();

const answerOf = ({ body, ...head }: { readonly body: Uint8Array } & Omit<PageAnswer, 'bodySha256'>): PageAnswer => ({
  ...head,
  bodySha256: sha256(body).toString('hex'),
});

const foldOf = (all: readonly PageAnswer[]): WalkAnswers | undefined =>
  all.reduce<WalkAnswers | undefined>(withAnswer, undefined);
