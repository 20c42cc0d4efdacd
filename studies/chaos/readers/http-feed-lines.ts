import { type FormatName, formats } from '../../../src/formats/registry.ts';

/** What a line of the feed says about its event. */
export interface FeedLine {
  readonly position: number;
  /** Source and id of the entry, or the id alone where the format has no more. */
  readonly key: string;
  /** The entry's exact text; only native has it to the byte. */
  readonly rawText?: string;
}

/** Throws where the line is not a whole one of its format. */
export const readFeedLine = (format: FormatName, line: string): FeedLine => {
  const { position, id = '', source, rawText } = formats[format].readLine(line);
  return { position, key: source === undefined ? id : `${source} ${id}`, ...(rawText !== undefined && { rawText }) };
};
