import { withoutControls } from '../../text/terminal.ts';

/** Rows as lines, each column as wide as its widest cell. The first row is the header. */
export const alignColumns = (rows: readonly (readonly string[])[]): string[] => {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
};

/** Names and ids come from others: the terminal shows them and obeys nothing in them. */
export const printable = (text: string, width: number): string => {
  const clean = withoutControls(text.replaceAll(/[\r\n\t]/g, ' '));
  return clean.length > width ? `${clean.slice(0, width - 1)}…` : clean;
};
