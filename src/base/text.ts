/** One character in three, and two of a short word. */
const mostDifferences = (word: string): number => Math.max(2, Math.floor(word.length / 3));
/** Longer words are compared by their beginnings. */
const MAX_COMPARED = 100;
/** More than 1: people omit characters more often than they mistype them. */
const REPLACED = 1.2;

/** Known words that begin with, contain or differ little from the given one, nearest first, ignoring case. Ties keep their order. */
export const nearest = (given: string, known: Iterable<string>, most = 3): readonly string[] => {
  const wanted = given.trim().toLowerCase();
  if (wanted === '') return [];
  return [...new Set(known)]
    .map((word) => ({ word, distance: distanceOf(wanted, word.toLowerCase()) }))
    .filter(({ distance }) => distance !== undefined)
    .sort((a, b) => (a.distance ?? 0) - (b.distance ?? 0))
    .slice(0, most)
    .map(({ word }) => word);
};

const distanceOf = (wanted: string, word: string): number | undefined => {
  if (word === wanted) return 0;
  if (word.startsWith(wanted)) return 0.5;
  const differences = editDistance(wanted.slice(0, MAX_COMPARED), word.slice(0, MAX_COMPARED));
  if (differences <= mostDifferences(wanted) && differences < wanted.length) return differences;
  return wanted.length > 2 && word.includes(wanted) ? mostDifferences(wanted) + 1 : undefined;
};

/** Insertions, removals, swaps of neighbours and replacements (1.2 each) from one word to the other. */
const editDistance = (from: string, to: string): number => {
  let before: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, n) => n);
  for (let i = 1; i <= from.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const same = from[i - 1] === to[j - 1];
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : REPLACED));
      const swapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      if (swapped) cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    before = last;
    last = row;
  }
  return last[to.length] ?? 0;
};

/** `; did you mean "action"?`, or nothing. */
export const didYouMean = (suggestions: readonly string[]): string => {
  if (suggestions.length === 0) return '';
  const quoted = suggestions.map((word) => JSON.stringify(word));
  const last = quoted.at(-1);
  return `; did you mean ${quoted.length === 1 ? last : `${quoted.slice(0, -1).join(', ')} or ${last}`}?`;
};

export const unknownParameter = (name: string, known: readonly string[]): string =>
  `unknown parameter ${JSON.stringify(name.slice(0, MAX_COMPARED).toWellFormed())}${didYouMean(nearest(name, known, 1))}`;

/** What a terminal would obey instead of showing, except line ends and tabs; includes marks of direction. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is escaped
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\p{Bidi_Control}]/gu;

/** As JSON escapes, so that a line of JSON stays one. For text of others that may reach a terminal. */
export const withoutControls = (text: string): string =>
  text.replace(controls, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

const visible = /[[\p{L}\p{N}\p{P}\p{S}]--[\p{Default_Ignorable_Code_Point}\u2800]]/v;

/** Blanks, controls and characters without width are invisible. */
export const isVisible = (text: string): boolean => visible.test(text);

/** No string of all of them: a large one would be in memory once more. */
export const bytesOf = (texts: readonly string[]): Buffer => {
  const bytes = Buffer.allocUnsafeSlow(texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0));
  let at = 0;
  for (const text of texts) at += bytes.write(text, at);
  return bytes;
};

const nothing = Buffer.alloc(0);

/** Emptied once its reader has taken it: generators on the way hold a piece until they have the next one. */
export function* onePiece(
  bytes: Buffer,
  events: number,
): Generator<{ readonly lines: Buffer; readonly events: number }, void, void> {
  const piece = { lines: bytes, events };
  try {
    yield piece;
  } finally {
    piece.lines = nothing;
  }
}

/** As wide as the widest cell of each column; the first row is the header. */
export const alignColumns = (rows: readonly (readonly string[])[]): string[] => {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
};

export const table = (header: readonly string[], rows: readonly (readonly string[])[]): string =>
  `${alignColumns([header, ...rows]).join('\n')}\n`;

/** Text of others: the terminal obeys nothing in it. */
export const printable = (text: string, width: number): string => {
  const clean = withoutControls(text.replaceAll(/[\r\n\t]/g, ' '));
  return clean.length > width ? `${clean.slice(0, width - 1)}…` : clean;
};

/** `1 organization`, `1,204 organizations`. */
export const counted = (count: number, noun: string): string =>
  `${count.toLocaleString('en')} ${count === 1 ? noun : `${noun}s`}`;
