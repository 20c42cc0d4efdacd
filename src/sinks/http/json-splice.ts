import { type FormatName, formats } from '../../formats/formats.ts';

/**
 * Writes formatted events as JSON values, to be put into a larger JSON text as they are: what a format wrote as JSON keeps its
 * exact text (parsing would round large numbers), lines of other formats become strings.
 */
export const jsonSplicer = (format: FormatName): ((text: string) => string) =>
  formats[format].json ? (text) => text : (text) => JSON.stringify(text);
