/**
 * What makes a spreadsheet take a cell for a formula, as OWASP lists it (CSV injection), the wide forms included; white space in
 * front does not help against all of them.
 */
const formulaStart = /^[\s\u00a0]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/;

/**
 * One record of RFC 4180, with its CRLF. Texts are always quoted, so that nothing in them can end a cell, and one that a spreadsheet would
 * run as a formula begins with an apostrophe, which spreadsheets do not show. Null is an empty cell without quotes.
 */
export const csvRecord = (cells: readonly (string | number | boolean | null)[]): string =>
  `${cells.map(csvCell).join(',')}\r\n`;

const csvCell = (cell: string | number | boolean | null): string => {
  if (cell === null) return '';
  if (typeof cell !== 'string') return String(cell);
  return `"${(formulaStart.test(cell) ? `'${cell}` : cell).replaceAll('"', '""')}"`;
};
