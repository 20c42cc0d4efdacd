/**
 * What `grouping(a, b, …)` of so many columns says of the groups of a set with the columns at these indexes: a bit is set for each of the
 * others, and the first column has the highest.
 */
export const groupingOf = (set: readonly number[], columns: number): number =>
  set.reduce((bits, at) => bits - 2 ** (columns - 1 - at), 2 ** columns - 1);
