import { checkpointPath } from '../../../../src/evidence/bundle/layout.ts';
import { type NoteSignature, writeNote } from '../../../../src/evidence/notes/signed-note.ts';
import { GrowingTree } from '../../../../src/evidence/tree/growing-tree.ts';
import type { Files } from '../shapes/shape.ts';
import { coverageStatement } from '../statements.ts';
import { type TestHistory, usualHistory } from '../test-history.ts';
import { logSigner, type TestSigner, witnessSigner } from '../test-keys.ts';

/* What who has the key could sign to have two verifiers, or two readers of JSON, read different things. */

type Next = (below: number) => number;

interface Trick {
  readonly what: string;
  readonly files: Files;
}

const origin = 'audit.example.com/evidence/1f2e3d4c-5b6a-4798-8192-a3b4c5d6e7f8.1';

/** Texts that may stand for a value of JSON. */
const values = [
  '0',
  '-0',
  '1',
  '-1',
  '1.0',
  '1e2',
  '1E400',
  '1e-3',
  '0.1',
  '00',
  '+1',
  '0x1',
  '9007199254740991',
  '9007199254740992',
  '-9007199254740992',
  '99999999999999999999999',
  'NaN',
  'Infinity',
  '-Infinity',
  'true',
  'null',
  '[]',
  '{}',
  '[[]]',
  '[1,]',
  '{"a":1,"a":2}',
  '{"a":1,"\\u0061":2}',
  '{"__proto__":1}',
  '{"toString":1}',
  '""',
  '" "',
  '"\\u0000"',
  '"\\ud800"',
  '"\\udc00\\ud800"',
  '"\\ud83d\\ude00"',
  '"\\u2028"',
  '"\u2028"',
  '"\ufeff"',
  '"\\/"',
  '"\\x"',
  '"a\tb"',
  '"\u00e9"',
  '"e\u0301"',
  '"\u202e"',
  `"${'x'.repeat(30_000)}"`,
  '[[1,2]]',
  '[[2,1]]',
  '[[1,1]]',
  '[[0,3]]',
  '[[1,2],[2,3]]',
  '[[3,4],[1,2]]',
  '[[1,9007199254740991]]',
  '[["a","b"]]',
  '[[1,2,3]]',
  '"2026-01-10T00:00:00Z"',
  '"2026-01-10T00:00:00.0Z"',
  '"2026-01-10T00:00:00.1234567Z"',
  '"2026-02-30T00:00:00Z"',
  '"2026-01-10T24:00:00Z"',
  '"2026-01-10T23:59:60Z"',
  '"2026-01-10t00:00:00z"',
  '"2026-01-10T00:00:00+00:00"',
  '"2026-01-10 00:00:00Z"',
  '"0000-01-01T00:00:00Z"',
  '"0000-02-29T00:00:00Z"',
  '"1900-02-29T00:00:00Z"',
  '"10000-01-01T00:00:00Z"',
  '"294276-12-31T23:59:59.999999Z"',
  '"999999-12-31T23:59:59Z"',
  '"\u0662026-01-10T00:00:00Z"',
  '"-infinity"',
  '"infinity"',
  '"2025-12"',
  '"2025-13"',
  '"0000-01"',
  '"+010000-01"',
  '"-000001-12"',
  '"9999-12"',
  '"1 year"',
  '"1 mon -1 days"',
  '"-1 years"',
  '"00:00:00"',
  '"100000 years"',
  '"1 mons 1 mons"',
  '"1 day "',
  '"9999999:00:00"',
  '"1 days\\n"',
  '[["2026-01-01T00:00:00Z","2026-01-01T00:00:00Z"]]',
  '[["2026-01-02T00:00:00Z","2026-01-01T00:00:00Z"]]',
  '[["-infinity","10000-01-01T00:00:00Z"]]',
  '[["9999-01-01T00:00:00Z","10000-01-01T00:00:00Z"],["2026-01-01T00:00:00Z","2026-01-02T00:00:00Z"]]',
  '[{"pass":0,"ranges":[["10000-01-01T00:00:00Z","10001-01-01T00:00:00Z"],["2025-12-01T00:00:00Z","2026-03-02T00:00:00Z"]]}]',
  '[{"pass":-1,"ranges":[]},{"pass":-1,"ranges":[["-infinity","2026-04-01T00:00:00.5Z"]]}]',
  `${'['.repeat(31)}${']'.repeat(31)}`,
  `${'['.repeat(33)}${']'.repeat(33)}`,
  `${'{"a":'.repeat(4_000)}1${'}'.repeat(4_000)}`,
  `"${'00'.repeat(32)}"`,
  `"${'0A'.repeat(32)}"`,
  '"organization"',
  '"account"',
  '"o1"',
  '"O1"',
  '"released"',
  '"fork"',
  '"end"',
  '"genesis"',
  '"drop"',
  '"unheard of"',
  '"rotation"',
] as const;

/** A value of a JSON text: where it begins and ends. */
const valueToken = /(?<=[:[,])(?:"(?:[^"\\]|\\.)*"(?!:)|-?\d+|null|true|false|\[\]|\{\})/g;

/** A statement changed as text, so that it need not be JSON any more. */
const changedText = (text: string, next: Next): { readonly what: string; readonly text: string } => {
  const tokens = [...text.matchAll(valueToken)];
  const token = tokens[next(tokens.length)];
  const value = values[next(values.length)] ?? '';
  const [start = 0, length = 0] = [token?.index, token?.[0].length];
  const kind = next(10);
  if (kind < 6)
    return {
      what: `value at ${start}: ${value.slice(0, 60)}`,
      text: text.slice(0, start) + value + text.slice(start + length),
    };
  const fields = [...text.matchAll(/"([a-z_]+)":/g)];
  const field = fields[next(fields.length)];
  const name = field?.[1] ?? '';
  if (kind === 6) return { what: `a second ${name}`, text: text.replace(/^\{/, () => `{"${name}":${value},`) };
  if (kind === 7) return { what: `${name} at the end`, text: text.replace(/\}$/, () => `,"${name}":${value}}`) };
  if (kind === 8) return { what: `no ${name}`, text: text.replace(`"${name}":`, () => `"${name}_":`) };
  const marks = [' ', '\t', '\r', '\u00a0', '\ufeff', '//', ',', '\u0000', '"', '\\'];
  const [mark = '', at] = [marks[next(marks.length)], next(text.length + 1)];
  return { what: `${JSON.stringify(mark)} at ${at}`, text: text.slice(0, at) + mark + text.slice(at) };
};

/** With a statement of each type that an ordinary log has. */
const everyType = (): TestHistory => {
  const { holes = [], readings = [], left_out: leftOut, read_again: again } = coverageStatement;
  const as_of = '2026-03-01T00:00:00Z';
  const history = usualHistory().stateCoverage('o2', { as_of, holes, readings, left_out: leftOut, read_again: again });
  const journal = { origin: `${origin}/journal`, size: 0, root: new GrowingTree().root().toString('base64') };
  const hold = { organization_id: 'o9', account_id: null, since: null, before: null, reason: 'case', created_by: null };
  const by = { created_as: 'dba', created_at: as_of, released_by: null, released_as: null, released_at: null };
  history.state({ type: 'hold', action: 'added', id: 1, ...hold, ...by });
  history.state({ type: 'hold', action: 'released', id: 1, ...hold, ...by, released_at: '2026-03-01T00:00:01Z' });
  history.state({ type: 'schema', from_version: '1', to_version: '2', size_before: 280, size_after: 280 });
  history.state({ type: 'timestamp', anchor: 'tsa', token_sha256: '00'.repeat(32), checkpoint: journal });
  history.state({
    type: 'jump',
    id: 7,
    positions: [[900, 1_000]],
    old_timeline: '1',
    new_timeline: '2',
    found_at: as_of,
  });
  history.state({ type: 'key', reason: 'rotation', old_vkeys: [], new_vkeys: [], first_size: 900 });
  return history.state({ type: 'end', reason: 'over', by: 'dba' });
};

const statementTrick = (next: Next): Trick => {
  const history = everyType();
  const index = next(history.statements.length);
  const { what, text } = changedText(history.statements[index] ?? '', next);
  const kind = next(8);
  if (kind === 0) history.statements.push(text.replaceAll('\n', ' '));
  else if (kind === 1) history.statements.splice(index, 0, text.replaceAll('\n', ' '));
  else history.statements[index] = text.replaceAll('\n', ' ');
  return { what: `statement ${index}, ${kind < 2 ? 'one more, ' : ''}${what}`, files: history.bundle() };
};

/** The note of a checkpoint signed again, after its text was changed. */
const noteTrick = (next: Next): Trick => {
  const log = (['events', 'journal'] as const)[next(2)] ?? 'events';
  const history = usualHistory();
  const files = history.bundle();
  const path = checkpointPath(log);
  const [signer, witness] = [
    logSigner(`${origin}/${log}`),
    witnessSigner('witness.example.com/w1', next(3) === 0 ? 0 : 2 ** 40),
  ];
  const text = (files.get(path) as Buffer).toString().split('\n\n')[0] ?? '';
  const [name = '', size = '', root = ''] = text.split('\n');
  const texts: readonly (readonly [what: string, text: string])[] = [
    ['as it was', `${text}\n`],
    ['an extension line', `${text}\nmore\n`],
    ['an empty line in it', `${text}\n\nmore\n`],
    ['a size with a zero before it', `${name}\n0${size}\n${root}\n`],
    ['a size with a sign', `${name}\n+${size}\n${root}\n`],
    ['a size in other digits', `${name}\n${size.replace(/\d/, '\u0661')}\n${root}\n`],
    ['a size that is huge', `${name}\n9007199254740993\n${root}\n`],
    ['a size of nothing', `${name}\n0\n${root}\n`],
    ['a smaller size', `${name}\n${Number(size) - 1}\n${root}\n`],
    [
      'a root with stray bits',
      `${name}\n${size}\n${root.replace(/.=$/, (end) => `${String.fromCharCode((end.codePointAt(0) ?? 0) + 1)}=`)}\n`,
    ],
    ['a root without padding', `${name}\n${size}\n${root.slice(0, -1)}\n`],
    ['a root for addresses', `${name}\n${size}\n${root.replaceAll('+', '-').replaceAll('/', '_')}\n`],
    ['a root with a space', `${name}\n${size}\n${root} \n`],
    ['another case of the name', `${name.toUpperCase()}\n${size}\n${root}\n`],
    ['a name with a space', `${name} \n${size}\n${root}\n`],
    ['another generation', `${name.replace('.1/', '.2/')}\n${size}\n${root}\n`],
    ['a generation with a zero', `${name.replace('.1/', '.01/')}\n${size}\n${root}\n`],
  ];
  const [what = '', changed = ''] = texts[next(texts.length)] ?? [];
  const lines = signatureLines(changed, signer, witness, next);
  const note = `${changed}\n${lines.lines.join('')}`;
  const end = (['', '\n', '\r\n', ' ', '\u0000'] as const)[next(12)] ?? '';
  return {
    what: `${path}: ${what}, ${lines.what}, end ${JSON.stringify(end)}`,
    files: files.set(path, Buffer.from(note + end)),
  };
};

const lineOf = (text: string, signature: NoteSignature): string =>
  writeNote({ text: 'x\n', signatures: [signature] }).slice('x\n\n'.length) || text;

const signatureLines = (text: string, signer: TestSigner, witness: TestSigner, next: Next) => {
  const [own, cosigned] = [lineOf(text, signer.sign(text)), lineOf(text, witness.sign(text))];
  const stranger = lineOf(text, logSigner('elsewhere.example.com/log', 'another').sign(text));
  const impostor = lineOf(text, { ...logSigner(signer.key.name, 'another').sign(text), keyId: signer.key.id });
  const choices: readonly (readonly [what: string, lines: readonly string[]])[] = [
    ['both', [own, cosigned]],
    ['the witness first', [cosigned, own]],
    ['each twice', [own, own, cosigned, cosigned]],
    ['the log alone', [own]],
    ['the witness alone', [cosigned]],
    ['none', []],
    ['a stranger as well', [own, cosigned, stranger]],
    ['an impostor as well', [own, cosigned, impostor]],
    ['a hundred and more', [own, cosigned, ...Array.from({ length: 99 }, () => own)]],
    ['a hyphen for the dash', [own.replace('\u2014', '-'), own, cosigned]],
    ['two spaces', [own.replace(/ (?=\S+\n)/, '  '), cosigned]],
    ['a tab', [own.replace(/ (?=\S+\n)/, '\t'), cosigned]],
    ['a carriage return', [own.replace('\n', '\r\n'), cosigned]],
    [
      'stray bits',
      [
        own.replace(/(.)==?\n/, (end) => end.replace(/^./, (one) => String.fromCharCode(one.charCodeAt(0) + 1))),
        cosigned,
      ],
    ],
    ['an empty line between', [own, '\n', cosigned]],
    ['no line end', [own, cosigned.slice(0, -1)]],
  ];
  const [what = '', lines = []] = choices[next(choices.length)] ?? [];
  return { what, lines };
};

/** Files without the key: cut, swapped, doubled, with other line ends. */
const fileTrick = (next: Next): Trick => {
  const files = usualHistory().bundle();
  const paths = [...files.keys()];
  const [path = '', other = ''] = [paths[next(paths.length)], paths[next(paths.length)]];
  const bytes = files.get(path) as Buffer;
  const changes: readonly (readonly [what: string, change: () => void])[] = [
    ['cut', () => files.set(path, bytes.subarray(0, next(bytes.length)))],
    ['longer', () => files.set(path, Buffer.concat([bytes, Buffer.alloc(1 + next(40), next(256))]))],
    ['twice', () => files.set(path, Buffer.concat([bytes, bytes]))],
    ['empty', () => files.set(path, Buffer.alloc(0))],
    ['away', () => files.delete(path)],
    [`swapped with ${other}`, () => files.set(path, files.get(other) as Buffer).set(other, bytes)],
    [
      'other line ends',
      () => files.set(path, Buffer.from(bytes.toString('latin1').replaceAll('\n', '\r\n'), 'latin1')),
    ],
    ['a mark before it', () => files.set(path, Buffer.concat([Buffer.from('\ufeff'), bytes]))],
    [
      'another level',
      () =>
        files.set(
          path.replace(/tile\/(\d)/, (_, level) => `tile/${Number(level) + 1}`),
          bytes,
        ),
    ],
    [
      'another width',
      () =>
        files.set(
          path.replace(/\.p\/\d+$/, () => `.p/${next(300)}`),
          bytes,
        ),
    ],
    [
      'another number',
      () =>
        files.set(
          path.replace(/000/, () => `${next(2) === 0 ? '0' : 'x'}00${next(10)}`),
          bytes,
        ),
    ],
    ['an upper case', () => files.set(path.toUpperCase(), bytes)],
  ];
  const [what = '', change = () => {}] = changes[next(changes.length)] ?? [];
  change();
  return { what: `${path}: ${what}`, files };
};

export const trickOf = (next: Next): Trick => {
  const kind = next(6);
  return kind < 3 ? statementTrick(next) : kind < 5 ? noteTrick(next) : fileTrick(next);
};
