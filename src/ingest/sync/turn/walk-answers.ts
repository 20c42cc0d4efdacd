import { hash } from 'node:crypto';
import type { PageAnswer } from '../../entries/page.ts';
import type { ClaimedReads } from '../../planning/source.ts';
import { requestWindow, type Walk, type WalkAnswers } from '../../planning/walk.ts';

const noAnswers: WalkAnswers = {
  count: 0,
  firstDateMs: null,
  firstCfRay: null,
  lastDateMs: null,
  lastCfRay: null,
  sha256: '0'.repeat(64),
};

/** With one more answer. An answer that is not known, as in tests of other things, is not counted. */
export const withAnswer = (
  before: WalkAnswers | undefined,
  answer: PageAnswer | undefined,
): WalkAnswers | undefined => {
  if (answer === undefined) return before;
  const { count, firstDateMs, firstCfRay, sha256 } = before ?? noAnswers;
  const [dateMs, cfRay] = [answer.dateMs ?? null, answer.cfRay ?? null];
  return {
    count: count + 1,
    firstDateMs: count === 0 ? dateMs : firstDateMs,
    firstCfRay: count === 0 ? cfRay : firstCfRay,
    lastDateMs: dateMs,
    lastCfRay: cfRay,
    sha256: hash('sha256', Buffer.from(sha256 + answer.bodySha256, 'hex')),
  };
};

/** What is recorded of a walk that has come to its end, with what was asked about it beside its own pages. Undefined if nothing is known of its answers. */
export const claimedReads = (walk: Walk, asked: readonly PageAnswer[]): ClaimedReads | undefined => {
  const answers = asked.reduce(withAnswer, walk.answers);
  const { pages, entries } = walk;
  return answers && { window: requestWindow(walk), pages, entries, answers };
};
