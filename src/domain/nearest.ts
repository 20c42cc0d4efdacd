/** Edits that a misspelling has at most: one in three characters, and never more than this. */
const MOST_EDITS = 4;

/**
 * The candidates that were probably meant by `text`, the most likely first, at most `most` of them: those that are a few edits
 * away, that begin with it, or that contain it. Case does not matter. A pure function.
 */
export const nearest = (text: string, candidates: Iterable<string>, most = 3): readonly string[] => {
  const wanted = text.trim().toLowerCase();
  const scored: { readonly candidate: string; readonly score: number }[] = [];
  for (const candidate of new Set(candidates)) {
    const score = scoreOf(wanted, candidate.toLowerCase());
    if (score !== undefined) scored.push({ candidate, score });
  }
  return scored
    .sort((a, b) => a.score - b.score || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, most)
    .map(({ candidate }) => candidate);
};

/** Edits first, then beginnings, then parts; undefined: it was not meant. */
const scoreOf = (wanted: string, candidate: string): number | undefined => {
  const allowed = Math.min(MOST_EDITS, Math.ceil(Math.max(wanted.length, 3) / 3));
  if (Math.abs(wanted.length - candidate.length) <= allowed) {
    const edits = editsBetween(wanted, candidate);
    if (edits <= allowed) return edits;
  }
  if (wanted.length < 2) return undefined;
  if (candidate.startsWith(wanted)) return MOST_EDITS + 1;
  if (candidate.includes(wanted)) return MOST_EDITS + 2;
  return undefined;
};

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
const editsBetween = (a: string, b: string): number => {
  let [beforeLast, last]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, index) => index)];
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      let edits = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1));
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwap) edits = Math.min(edits, (beforeLast[j - 2] ?? 0) + 1);
      row.push(edits);
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length] ?? 0;
};
