import { writeCheckpoint } from '../../../src/evidence/notes/checkpoint.ts';
import { writeNote } from '../../../src/evidence/notes/signed-note.ts';
import { at, BASE, FEED, FIRST_AT, hashOfLines, NO_FILTER, TestLog } from './bundle-builder.ts';
import { logSigner } from './test-keys.ts';

/** Begun, with two sources, an event of each: leaves 0 to 4. */
export const smallLog = (fields: Readonly<Record<string, unknown>> = {}): TestLog => {
  const log = new TestLog();
  log.begin(fields);
  log.source(1);
  log.event(1);
  log.source(2);
  log.event(2);
  return log;
};

const signed = (tamper: (log: TestLog) => unknown, log = smallLog()): TestLog => {
  tamper(log);
  return log;
};

const DAY = [[at(4), at(11)]];

/** Who holds the key can sign them all; each breaks one rule. */
export const signedFaults: Readonly<Record<string, () => TestLog>> = {
  'no begin': () => signed((log) => log.source(1), new TestLog()),
  'a begin of another format': () => smallLog({ format: 3 }),
  'a first log that carries leaves': () => smallLog({ carried: 1 }),
  'log 2 without a log before': () => smallLog({ number: 2 }),
  'a begin of another feed': () => signed((log) => begin(log, { feed_id: FEED.replace('1f', '2f') })),
  'a begin of another base': () => signed((log) => begin(log, { base: 'other.example.com' })),
  'a begin that carries more than there is': () => signed((log) => begin(log, { carried: 6 })),
  'a begin that carries more than the log before had': () =>
    signed((log) => begin(log, { carried: 5, previous: log.checkpoint(4) })),
  'a begin with another root of what it carries': () => signed((log) => begin(log, { previous: otherRoot(log, 5) })),
  'a begin without a checkpoint': () => signed((log) => begin(log, { previous: 'a note\n' })),
  'a begin that follows a later log': () =>
    signed((log) => begin(log, { previous: log.checkpoint(5, `${BASE}/${FEED}.2`) })),
  'a begin with a smaller number': () => signed((log) => begin(begin(log, { number: 3 }), { number: 2 })),
  'a begin with a number of ten digits': () => signed((log) => begin(log, { number: 1_000_000_000 })),
  'a begin with a key that was compromised': () =>
    signed((log) => [
      log.state('key', 0, { reason: 'compromised', old: log.key, new: keyOf('next'), old_signs_until: null, by: 'b' }),
      begin(log, {}),
    ]),
  'a later begin that adopts': () => signed((log) => begin(log, { adopted_position: 7 })),
  'a leaf behind the end': () =>
    signed(
      (log) =>
        [log.state('end', 0, { reason: 'r', by: 'b' }), log.event(1)].length &&
        log.state('note', 0, { about: 'x', facts: {} }),
    ),
  'an event behind the end': () => signed((log) => [log.state('end', 0, { reason: 'r', by: 'b' }), log.event(1)]),
  'an event of a source that differs by a space': () =>
    signed((log) => [log.source(3, { kind: 'organization a', id: 'b' }), log.sources.set(3, 'a b'), log.event(3)]),
  'a statement of a number that none gives': () => signed((log) => log.state('note', 3, { about: 'x', facts: {} })),
  'a number twice': () => signed((log) => log.source(1, { id: 'other' })),
  'a source twice': () => signed((log) => log.source(3, { id: 'organization-1' })),
  'a source under another number': () => signed((log) => log.source(3, { number: 4 })),
  'an event before its source': () =>
    signed((log) => [log.sources.set(3, 'organization-3'), log.event(3), log.source(3)]),
  'an event of no source': () => signed((log) => log.event(9)),
  'a position again': () => signed((log) => log.event(1, { position: 2 })),
  'position 0': () => signed((log) => log.event(1, { position: 0 })),
  'a statement under a wrong index': () => signed((log) => log.state('note', 0, { index: 3, about: 'x', facts: {} })),
  'a field twice': () =>
    signed((log) =>
      log.text(`{"index":5,"type":"note","at":"${at(20)}","source":0,"about":"x","about":"y","facts":{}}`, 0),
    ),
  'a number with a fraction': () =>
    signed((log) => log.text(`{"index":5.0,"type":"note","at":"${at(20)}","source":0,"about":"x","facts":{}}`, 0)),
  'half of a surrogate pair': () =>
    signed((log) => log.text(`{"index":5,"type":"note","at":"${at(20)}","source":0,"about":"\\ud800","facts":{}}`, 0)),
  'an instant without microseconds': () =>
    signed((log) => log.state('note', 0, { at: '2026-01-20T00:00:00Z', about: 'x', facts: {} })),
  'a day that does not exist': () =>
    signed((log) => log.state('note', 0, { at: '2026-02-30T00:00:00.000000Z', about: 'x', facts: {} })),
  'a change of a later event': () => signed((log) => log.change(6, '{}', { source: 1 }) && log.event(1)),
  'a change of a statement': () =>
    signed((log) => log.state('change', 1, { event: 1, raw_sha256: NO_FILTER, raw_bytes: 1, seen_at: at(19) })),
  'a change of an event of another source': () => signed((log) => log.change(2, '{}', { source: 2 })),
  'a change without its content': () => signed((log) => [log.change(2, '{}'), log.changes.clear()]),
  'a content without its change': () => signed((log) => log.changes.set(2, [Buffer.from('{}')])),
  'a change of another length': () => signed((log) => log.change(2, '{}', { raw_bytes: 3 })),
  'a drop of a month that is too young': () =>
    signed((log) => log.drop([[2, 3]], { older_than: '2026-01-31T00:00:00.000000Z' })),
  'a drop before it was old enough': () =>
    signed((log) => log.drop([[2, 3]], { dropped_at: '2026-01-31T00:00:00.000000Z' })),
  'a drop in the future': () => signed((log) => log.drop([[2, 3]], { dropped_at: '2026-09-02T00:00:00.000000Z' })),
  'a drop of events without a time': () => signed((log) => log.drop([[2, 3]], { month: 'none' })),
  'a drop of a statement': () => signed((log) => [log.drop([[2, 5]]), log.dropped.delete(3)]),
  'a drop of later leaves': () =>
    signed((log) => [
      log.drop([
        [2, 3],
        [7, 8],
      ]),
      log.event(1),
      log.event(1),
    ]),
  'a drop of an event of another month': () =>
    signed((log) => [log.event(1, { day: 40 }), log.drop([[5, 6]]), log.dropped.delete(5)]),
  'a drop of an event without a time': () =>
    signed((log) => [log.event(1, { timeless: true }), log.drop([[5, 6]]), log.dropped.delete(5)]),
  'a drop again': () => signed((log) => [log.drop([[2, 3]]), log.drop([[2, 3]])]),
  'a drop that counts other events': () => signed((log) => log.drop([[2, 3]], { events: 2 })),
  'a drop of ranges that touch': () =>
    signed((log) => [
      log.event(1),
      log.drop([
        [4, 5],
        [5, 6],
      ]),
    ]),
  'a dropped event without a drop': () => signed((log) => log.dropped.add(2)),
  'a drop under a hold of its source': () => signed((log) => [log.hold(1, 1), log.drop([[2, 3]])]),
  'a drop under a hold of everything': () =>
    signed((log) => [
      log.hold(0, 1, { since: '2026-01-01T00:00:00.000000Z', before: '2026-02-01T00:00:00.000000Z' }),
      log.drop([[4, 5]]),
    ]),
  'a drop under a hold that was released later': () =>
    signed((log) => [
      log.hold(0, 1),
      log.drop([[2, 3]]),
      log.hold(0, 1, { action: 'released', done_at: '2026-08-02T00:00:00.000000Z' }),
    ]),
  'a hold twice': () => signed((log) => [log.hold(0, 1), log.hold(1, 1)]),
  'a release of no hold': () => signed((log) => log.hold(0, 1, { action: 'released' })),
  'a release by another number': () => signed((log) => [log.hold(1, 1), log.hold(0, 1, { action: 'released' })]),
  'a release that is stated behind the drop': () =>
    signed((log) => [log.hold(0, 1), log.drop([[2, 3]]), log.hold(0, 1, { action: 'released' })]),
  'a release twice': () =>
    signed((log) => [log.hold(0, 1), log.hold(0, 1, { action: 'released' }), log.hold(0, 1, { action: 'released' })]),
  'a key that replaces another': () =>
    signed((log) =>
      log.state('key', 0, { reason: 'lost', old: NO_FILTER, new: rotated(log).key, old_signs_until: null, by: 'b' }),
    ),
  'a key that comes back': () =>
    signed((log) =>
      log.state('key', 0, { reason: 'lost', old: log.key, new: log.key, old_signs_until: null, by: 'b' }),
    ),
  'a checkpoint by the key before': () =>
    signed((log) =>
      log.state('key', 0, { reason: 'rotation', old: log.key, new: keyOf('next'), old_signs_until: null, by: 'b' }),
    ),
  'a checkpoint of another log': () =>
    signed((log) => Object.assign(log, { origin: `${BASE}/${FEED}.2`, signers: [logSigner(`${BASE}/${FEED}.2`)] })),
  'coverage beyond as_of': () => signed((log) => log.coverage(1, [[at(4), at(19, 1)]])),
  'coverage as of the future': () => signed((log) => log.coverage(1, DAY, { as_of: at(21) })),
  'coverage read again, and not read': () => signed((log) => log.coverage(1, DAY, { again: [[at(10), at(12)]] })),
  'coverage with a hole in what was read': () =>
    signed((log) => log.coverage(1, DAY, { holes: [{ range: [at(10), at(12)], reason: 'r', found_at: at(12) }] })),
  'coverage that shrinks': () => signed((log) => [log.coverage(1, DAY), log.coverage(1, [[at(4), at(10)]], {}, [])]),
  'coverage that was not asked for': () => signed((log) => log.coverage(1, DAY, {}, [[at(4), at(10)]])),
  'coverage by a microsecond': () => signed((log) => log.coverage(1, [[at(4), at(11, 1)]], {}, DAY)),
  'coverage that another source asked for': () => signed((log) => [log.coverage(2, DAY), log.coverage(1, DAY, {}, [])]),
  'coverage that another filter asked for': () =>
    signed((log) => [log.coverage(1, DAY, { filter: { text: 'f', hash: 'f'.repeat(64) } }, DAY)]),
  'coverage that adopts, of a log from the first day on': () =>
    signed((log) => log.coverage(1, DAY, { adopted: [[at(1), at(2)]] }, DAY)),
  'coverage that adopts what is younger than the log': () =>
    signed((log) => log.coverage(1, DAY, { adopted: DAY }, []), smallLog({ adopted_position: 2 })),
  'coverage that adopts more and more': () =>
    signed(
      (log) => [
        log.coverage(1, DAY, { adopted: [[at(1), FIRST_AT]] }),
        log.coverage(1, DAY, { adopted: [['2025-12-01T00:00:00.000000Z', FIRST_AT]] }, []),
      ],
      smallLog({ adopted_position: 2 }),
    ),
  'coverage of ranges that touch': () =>
    signed((log) =>
      log.coverage(
        1,
        [
          [at(4), at(5)],
          [at(5), at(6)],
        ],
        {},
        DAY,
      ),
    ),
  'coverage that counts fewer events': () => signed((log) => log.coverage(1, DAY, { events: 0 })),
  'coverage that counts fewer leaves': () => signed((log) => log.coverage(1, DAY, { leaves: 1 })),
  'coverage of another chain': () => signed((log) => log.coverage(1, DAY, { chain: NO_FILTER })),
  'coverage that counts fewer leaves of the log': () => signed((log) => log.coverage(1, DAY, { log_leaves: 0 })),
  'coverage of another chain of the log': () => signed((log) => log.coverage(1, DAY, { log_chain: NO_FILTER })),
  'requests that leave one out': () =>
    signed((log) => [log.coverage(1, DAY), log.request(1, at(1), at(2)), log.coverage(1, DAY)]),
  'requests of another hash': () =>
    signed((log) => log.coverage(1, DAY, { rows: { first: 1, last: 1, sha256: NO_FILTER, windows: DAY } })),
  'windows wider than the requests': () => signed((log) => [log.request(1, at(4), at(10)), statedAs(log, DAY)]),
  'windows without requests': () =>
    signed((log) =>
      log.coverage(
        1,
        DAY,
        {
          rows: {
            first: 1,
            last: 0,
            sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
            windows: DAY,
          },
        },
        [],
      ),
    ),
  'windows beyond the Date of the answer': () =>
    signed((log) => [log.request(1, at(4), at(11), { first_date: at(10), last_date: at(12) }), statedAs(log, DAY)]),
  'windows of requests without a Date': () =>
    signed((log) => [log.request(1, at(4), at(11), { last_date: null }), statedAs(log, DAY)]),
  'windows of requests by another filter': () =>
    signed((log) => [log.request(1, at(4), at(11), { filter_hash: 'f'.repeat(64) }), statedAs(log, DAY)]),
};

const begin = (log: TestLog, fields: Readonly<Record<string, unknown>>): TestLog => {
  const number = Number(fields['number'] ?? 2);
  const previous = log.checkpoint();
  const carried = log.size;
  log.origin = `${BASE}/${FEED}.${number}`;
  log.signers = [logSigner(log.origin)];
  log.begin({ at: at(20), number, previous, carried, ...fields });
  return log;
};

const otherRoot = (log: TestLog, size: number): string => {
  const text = writeCheckpoint({ origin: log.origin, size, root: Buffer.alloc(32) });
  return writeNote({ text, signatures: log.signers.map((signer) => signer.sign(text)) });
};

const keyOf = (word: string): string => Buffer.from(logSigner('x', word).key.publicKey).toString('hex');

const rotated = (log: TestLog): TestLog => Object.assign(log, { signers: [logSigner(log.origin, 'next')] });

/** A statement of coverage over all requests so far, with these windows. */
const statedAs = (log: TestLog, windows: readonly (readonly string[])[]): void => {
  const rows = { first: 1, last: log.reads.length, sha256: hashOfLines(log.reads), windows };
  log.coverage(1, windows, { rows }, []);
};
