/**
 * What `grouping(a, b, …)` of so many columns says of the groups of the one at an index, if each grouping set has one column: a bit is set
 * for each of the others, and the first column has the highest.
 */
export const groupingOf = (at: number, columns: number): number => 2 ** columns - 1 - 2 ** (columns - 1 - at);
