/** What docs/development/style.md says: words with what to write instead, and texts in which they are allowed. */
export interface Style {
  readonly words: ReadonlyMap<string, string>;
  readonly allowed: readonly string[];
}

/** Reads the table and the line "Left alone". Throws if either is missing, so that the check cannot pass for lack of a list. */
export const readStyle = (page: string): Style => {
  const rows = [...page.matchAll(/^\| (?!not \||-)([^|]+) \| ([^|]+) \|$/gm)];
  const words = new Map(
    rows.flatMap(([, listed = '', instead = '']) => listed.split(', ').map((word) => [word, instead] as const)),
  );
  const exceptions = page.match(/^Left alone: (.*)$/m)?.[1];
  if (words.size === 0 || exceptions === undefined) throw new Error('docs/development/style.md has no list of words');
  const allowed = [...exceptions.matchAll(/`` (.+?) ``|`([^`]+)`/g)].map(
    ([, double, single]) => double ?? single ?? '',
  );
  return { words, allowed: allowed.filter((text) => text !== 'words: allow') };
};

/** A forbidden word and the line that it stands in, from 1. A phrase is found across a line break as well. */
export interface FoundWord {
  readonly line: number;
  readonly word: string;
  readonly instead: string;
}

/** The forbidden words of a text, in the order of the text. */
export const findWords = ({ words, allowed }: Style, text: string): FoundWord[] => {
  const blank = (part: string): string => ' '.repeat(part.length);
  let plain = text.replace(/^.*words: allow.*$/gm, blank);
  for (const exception of allowed) plain = plain.replaceAll(exception, blank);
  // A line of a comment begins with its mark.
  const gap = String.raw`(?:[ \t]+|[ \t]*\n[ \t]*(?:\*|//|#|>)?[ \t]*)`;
  const phrases = [...words.keys()].map((word) => word.replaceAll(' ', gap)).join('|');
  return [...plain.matchAll(new RegExp(String.raw`\b(?:${phrases})\b`, 'gi'))].flatMap(({ 0: match, index }) => {
    const word = match.replace(/\s+(?:(?:\*|\/\/|#|>)\s+)?/g, ' ').toLowerCase();
    // An identifier such as anyBody is two words.
    if (/[a-z][A-Z]/.test(match)) return [];
    return [{ line: plain.slice(0, index).split('\n').length, word, instead: words.get(word) ?? '' }];
  });
};
