/** What some reader takes for the end of a line or of a field. */
const breaks = '\t\n\v\f\r\u0085\u2028\u2029';

const visible = (character: string): string => (breaks.includes(character) ? ' ' : '\ufffd');

/** Text that cannot end a line or a field: breaks and tabs become spaces, other control characters U+FFFD. */
export const oneLine = (text: string): string => text.toWellFormed().replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, visible);

/** At most so many UTF-16 units; what is cut ends in `…`, and no character is cut in two. */
export const cut = (text: string, limit: number): string =>
  text.length <= limit ? text : `${text.slice(0, limit - 1).replace(/[\ud800-\udbff]$/, '')}…`;
