const SHOWN_MONTHS = 3;

/** `2024-01, 2024-02`, `2024-01 to 2024-05`; not all need to follow each other. */
const namesOf = (months: readonly string[]): string =>
  months.length <= SHOWN_MONTHS ? months.join(', ') : `${months[0]} to ${months.at(-1)}`;

/** `the archived month 2024-01`, `3 archived months (2024-01 to 2024-03)`. */
const archivedMonthsInWords = (months: readonly string[]): string =>
  months.length === 1 ? `the archived month ${months[0]}` : `${months.length} archived months (${namesOf(months)})`;

/** `3 archived months (2024-01, 2024-02, 2024-03) were not searched.` */
export const archivedMonthsSentence = (months: readonly string[], predicate: string): string => {
  const words = archivedMonthsInWords(months);
  return `${words.slice(0, 1).toUpperCase()}${words.slice(1)} ${months.length === 1 ? 'was' : 'were'} ${predicate}.`;
};

/** `2 months (2024-01, 2024-02) were dropped without an archive: their events are gone.` */
export const droppedMonthsSentence = (months: readonly string[]): string =>
  months.length === 1
    ? `The month ${months[0]} was dropped without an archive: its events are gone.`
    : `${months.length} months (${namesOf(months)}) were dropped without an archive: their events are gone.`;
