import type { StatementOf } from '../../../../src/evidence/journal/statement.ts';
import type { LogName } from '../../../../src/evidence/notes/checkpoint.ts';
import { writePolicy } from '../../../../src/evidence/notes/policy.ts';
import {
  parseNote,
  printVerifierKey,
  type VerifierKey,
  writeNote,
} from '../../../../src/evidence/notes/signed-note.ts';
import { eventsOrigin, TestHistory } from '../test-history.ts';
import { logSigner, witnessSigner } from '../test-keys.ts';
import { type Files, failing, grown, holding, kept, rewritten, type Shape, small, withFile } from './shape.ts';

const logNames = ['events', 'journal'] as const satisfies readonly LogName[];
const originOf = (log: LogName) => eventsOrigin.replace('/events', `/${log}`);
const witness = { name: 'w1', ...witnessSigner('witness.example.com/w1') };

/** The keys of both logs that a word gives; the usual word is that of all test histories. */
const keysOf = (word?: string): readonly VerifierKey[] => logNames.map((log) => logSigner(originOf(log), word).key);
const vkeysOf = (word?: string): string[] => keysOf(word).map(printVerifierKey);

type Words = readonly (string | undefined)[];

/** The checkpoints of these logs with the signatures of these keys, and the policy of a bundle that has them all. */
const signedBy = (
  history: TestHistory | Files,
  by: Words,
  policy: Words = by,
  logs: readonly LogName[] = logNames,
): Files => {
  const signed = logs.reduce<TestHistory | Files>(
    (files, log) => withFile(files, `${log}/checkpoint`, (note) => signAgain(note, log, by)),
    history,
  );
  return withFile(signed, 'policy.txt', () => Buffer.from(writePolicy(policy.flatMap(keysOf), [witness], 1)));
};

const signAgain = (note: Buffer, log: LogName, by: Words): Buffer => {
  const { text } = parseNote(note);
  const signatures = by.map((word) => logSigner(originOf(log), word).sign(text));
  return Buffer.from(writeNote({ text, signatures: [...signatures, witness.sign(text)] }));
};

const [OLD, NEW, NEWEST, THIEF] = [undefined, 'new key', 'newest key', 'key of a thief'];
type Change = Partial<Omit<StatementOf<'key'>, 'type' | 'at' | 'tree'>>;

/** The journal names a new key, which signs from a size on. */
const announced = (change: Change = {}, history = small()): TestHistory =>
  history.state({
    type: 'key',
    reason: 'rotation',
    old_vkeys: vkeysOf(OLD),
    new_vkeys: vkeysOf(NEW),
    first_size: 20,
    ...change,
  });
const begunWith = (word?: string): TestHistory =>
  grown(
    new TestHistory().state({
      type: 'genesis',
      version: '1',
      feed_id: 'f',
      vkeys: vkeysOf(word),
      retention: null,
      adopted: 0,
    }),
    20,
  );
const week = { old_signs_until: '2026-03-08T00:00:00Z', by: 'J. Doe' };
const overlap = (): Files => signedBy(announced(week, begunWith()), [OLD, NEW]);
const over = (reason: 'rotation' | 'lost' | 'compromised'): Files =>
  signedBy(announced({ reason }, begunWith()), [NEW]);
const twice = (): TestHistory =>
  announced({ old_vkeys: vkeysOf(NEW), new_vkeys: vkeysOf(NEWEST) }, announced({}, begunWith()));

const forged = (files: Files): Files =>
  withFile(files, 'journal/entries.ndjson', (bytes) => Buffer.from(bytes.toString().replace('"rotation"', '"lost"')));
const removed = (files: Files): Files =>
  withFile(files, 'journal/entries.ndjson', (bytes) =>
    Buffer.from(
      bytes
        .toString()
        .split('\n')
        .filter((line) => !line.includes('"type":"key"'))
        .join('\n'),
    ),
  );
const wrong = (files: Files, log: LogName, line: number): Files =>
  withFile(files, `${log}/checkpoint`, (bytes) => {
    const lines = bytes.toString().split('\n');
    const at = 4 + line;
    lines[at] = (lines[at] ?? '').replace(/.(.{7})$/, (all, rest: string) => `${all[0] === 'A' ? 'B' : 'A'}${rest}`);
    return Buffer.from(lines.join('\n'));
  });

const shape = (name: string, files: Files, more: Omit<Shape, 'name' | 'files'>): Shape => ({ name, files, ...more });
const policyOf = (word?: string) => Buffer.from(writePolicy(keysOf(word), [], 0));
const word = (text: string) => ({ fault: { word: text } });
/** A checkpoint of before the change of the key, as an auditor kept it. */
const before = () => kept(begunWith());
/** The journal as who has the old key alone goes on with it: without what names the new one. */
const gone = (): Files => begunWith().stateCoverage('o1').bundle();
const journalWithKey = () => [
  { name: 'kept', note: signAgain(announced(week, begunWith()).checkpoint('journal'), 'journal', [OLD, NEW]) },
];

export const keyShapes: readonly Shape[] = [
  ...holding({
    'two keys': overlap(),
    'two keys, and a signature of the new one alone': signedBy(overlap(), [NEW], [OLD, NEW]),
    'the new key after the overlap': over('rotation'),
    'a new key, since the old one was lost': over('lost'),
    'a new key, since the old one was stolen': over('compromised'),
    'a new key that does not sign yet': announced({ first_size: 21 }),
    'a new key that is none': announced({ new_vkeys: ['x'], first_size: 0 }),
    'the third key': signedBy(twice(), [NEWEST]),
    'an anchor in the bundle by the old key': withFile(over('rotation'), 'anchors/1', () =>
      begunWith().checkpoint('events'),
    ),
  }),
  ...failing({
    'the retired key only': [signedBy(over('rotation'), [OLD], [OLD, NEW]), 'events/checkpoint'],
    'the retired key only, and a policy without the new one': [signedBy(over('lost'), [OLD]), 'events/checkpoint'],
    'the stolen key only': [signedBy(over('compromised'), [OLD], [OLD, NEW]), 'events/checkpoint'],
    'the events by the retired key': [signedBy(over('rotation'), [OLD], [OLD, NEW], ['events']), 'events/checkpoint'],
    'the journal by the retired key': [
      signedBy(over('rotation'), [OLD], [OLD, NEW], ['journal']),
      'journal/checkpoint',
    ],
    'the second key, behind the third one': [signedBy(twice(), [NEW], [NEW, NEWEST]), 'events/checkpoint'],
    'the retired key beside the new one, and not in the policy': [signedBy(over('lost'), [OLD, NEW], [NEW]), 'policy'],
    'a wrong signature of the new key': [wrong(overlap(), 'events', 1), 'events/checkpoint'],
    'a wrong signature of the old key': [wrong(overlap(), 'journal', 0), 'journal/checkpoint'],
    'a statement about the key that was forged': [forged(overlap()), 'statement 3'],
    'a statement about the key that was removed': [removed(overlap())],
    'a statement about a key that this log never had': [
      signedBy(announced({ old_vkeys: vkeysOf(THIEF) }, begunWith()), [NEW]),
      'never had',
    ],
    'a statement about a key with another end than a time': [
      signedBy(announced({ old_signs_until: 'soon' }, begunWith()), [OLD, NEW]),
      'statement 3',
    ],
  }),
  shape('two keys, and a policy of the old one', overlap(), { policy: policyOf(OLD) }),
  shape('two keys, and a policy of the new one', overlap(), { policy: policyOf(NEW) }),
  shape('two keys, and a policy of neither', overlap(), { policy: policyOf(THIEF), ...word('events/checkpoint') }),
  shape('after the overlap, and a policy of the old key', over('rotation'), {
    policy: policyOf(OLD),
    ...word('events/checkpoint'),
  }),
  shape('after the overlap, and a policy of the new key', over('rotation'), { policy: policyOf(NEW) }),
  ...(['rotation', 'lost', 'compromised'] as const).flatMap((reason) => [
    shape(`an anchor by the old key: ${reason}`, over(reason), { anchors: before() }),
    shape(`an anchor by the old key, and a policy of the new one: ${reason}`, over(reason), {
      anchors: before(),
      policy: policyOf(NEW),
    }),
    shape(`an anchor by the old key, of another tree: ${reason}`, over(reason), {
      anchors: kept(rewritten(15, 3)),
      ...word('kept'),
    }),
  ]),
  shape('an anchor by a key that no statement names', over('lost'), {
    anchors: kept(grown(new TestHistory(1, THIEF), 10)),
    ...word('kept'),
  }),
  shape('a journal without its key, signed by the old one', gone(), {
    policy: policyOf(NEW),
    ...word('events/checkpoint'),
  }),
  shape('a journal without its key, and one that was kept with it', gone(), {
    anchors: journalWithKey(),
    ...word('kept'),
  }),
];
