const SHOWN_MONTHS = 3;

/** `the archived month 2024-01`, `3 archived months (2024-01 to 2024-03)`; not all need to follow each other. */
const archivedMonthsInWords = (months: readonly string[]): string => {
  const [first] = months;
  if (months.length === 1) return `the archived month ${first}`;
  const named = months.length <= SHOWN_MONTHS ? months.join(', ') : `${first} to ${months.at(-1)}`;
  return `${months.length} archived months (${named})`;
};

/** `3 archived months (2024-01, 2024-02, 2024-03) were not searched.` */
export const archivedMonthsSentence = (months: readonly string[], predicate: string): string => {
  const words = archivedMonthsInWords(months);
  return `${words.slice(0, 1).toUpperCase()}${words.slice(1)} ${months.length === 1 ? 'was' : 'were'} ${predicate}.`;
};
