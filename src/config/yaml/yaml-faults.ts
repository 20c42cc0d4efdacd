import type { Document, ErrorCode } from 'yaml';
import type { Fault, Place } from '../faults.ts';

const QUOTES = 'text that begins with * & ! @ % or ` and text with a colon and a space in it must be quoted';

/** Words of our own: those of the parser quote the file, secrets in it included. */
const words: Partial<Record<ErrorCode, string>> = {
  DUPLICATE_KEY: 'this key is a duplicate',
  TAB_AS_INDENT: 'a tab cannot indent: use spaces',
  BAD_INDENT: 'this is indented less or more than the block that it belongs to',
  MISSING_CHAR: 'a quote, a bracket, a comma or the colon after a key is missing before this place',
  MULTIPLE_DOCS: 'a second document begins here: the file must have one',
  BAD_DQ_ESCAPE: 'this is not an escape sequence of YAML: in single quotes a backslash stands for itself',
  RESOURCE_EXHAUSTION: 'this is nested too deep',
  BAD_ALIAS: QUOTES,
  BAD_SCALAR_START: QUOTES,
  UNEXPECTED_TOKEN: QUOTES,
  BLOCK_AS_IMPLICIT_KEY: `this is indented wrong, or needs quotes: ${QUOTES}`,
};

/** What is wrong with the YAML of a document, the first of each line: the others follow from it. */
export const yamlFaults = (document: Document, placeAt: (offset: number) => Place): readonly Fault[] => {
  const byLine = new Map<number, Fault>();
  for (const { code, pos } of document.errors) {
    const place = placeAt(pos[0]);
    if (!byLine.has(place.line)) byLine.set(place.line, { message: words[code] ?? 'this is not valid YAML', place });
  }
  return [...byLine.values()];
};
