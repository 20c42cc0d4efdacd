import { expect, test } from 'vitest';
import { verifyBundle } from '../../../../src/evidence/verify/verify-bundle.ts';
import { cutToSource } from '../../../support/evidence/bundles/one-source-bundle.ts';
import { readerOf, usualHistory } from '../../../support/evidence/test-history.ts';

test('a bundle of one source names it, and says up to which position all of its events are there', () => {
  const files = cutToSource(usualHistory().bundle(), { source: 'o1' });
  const report = verifyBundle(readerOf(files));
  expect(report.faults).toEqual([]);
  expect(report.subject).toBe('a bundle of one source: organization o1');
  expect(report.claims).toContain(
    'these are all events of organization o1 up to position 280: 93, as far as the signer is believed',
  );
  expect(report.claims).toContain(
    'of 93 events of organization o1 54 are as they were hashed, and 39 were dropped as stated, as far as the signer is believed',
  );
});
