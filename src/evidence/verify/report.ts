import { EvidenceFault } from '../bytes.ts';

/** Which claim of README.txt a fault is of. */
export type Chapter = 'files' | 'leaves' | 'complete' | 'drops' | 'reads' | 'kept' | 'sample';

export interface Fault {
  readonly chapter: Chapter;
  readonly message: string;
}

/** Of a claim; the rest is counted. */
const MAX_SHOWN = 20;

/** What a verification found. */
export class Report {
  readonly faults: Fault[] = [];
  readonly faultCounts = new Map<Chapter, number>();
  /** Worth a line, and no fault. */
  readonly said: string[] = [];
  /** The lines below a claim, by its chapter. */
  readonly claims = new Map<Chapter, string[]>();
  /** Leaves that were lost between two logs, and kept checkpoints that do not agree. */
  readonly first: string[] = [];
  /** What the bundle is of. */
  subject = '';
  /** So many leaves are under a checkpoint that was kept, or that a witness saw. */
  keptSize = 0;
  size = 0;

  get holds(): boolean {
    return this.faults.length === 0;
  }

  get verdict(): string {
    if (!this.holds) return 'the evidence does not hold';
    return this.keptSize === this.size && this.size > 0
      ? 'the evidence holds'
      : 'the evidence holds, as far as the operator is believed';
  }

  fault(chapter: Chapter, message: string): void {
    const count = (this.faultCounts.get(chapter) ?? 0) + 1;
    this.faultCounts.set(chapter, count);
    if (count <= MAX_SHOWN) this.faults.push({ chapter, message });
  }

  say(message: string): void {
    if (this.said.length < MAX_SHOWN) this.said.push(message);
    else this.said[MAX_SHOWN] = 'and more of this kind';
  }

  claim(chapter: Chapter, line: string): void {
    this.claims.set(chapter, [...(this.claims.get(chapter) ?? []), line]);
  }

  /** Undefined, and a fault, if `read` throws an EvidenceFault. `what` is the subject of its message. */
  attempt<T>(chapter: Chapter, what: string, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof EvidenceFault)) throw error;
      this.fault(chapter, `${what}: ${error.message}`);
      return undefined;
    }
  }
}

const titles: Readonly<Record<Chapter, string>> = {
  files: '1 the files are those that were written',
  leaves: '2 these leaves, in this order, are what the key signed; each content is that of its leaf',
  complete: '3 nothing is left out of the selection',
  drops: '4 what was dropped, when, by which retention, under no hold',
  reads: '5 what is stated as read lies within what was asked',
  kept: '6 all of that is unchanged since a checkpoint was kept',
  sample: 'the sample',
};

/** No key and no checkpoint proves it. */
const NOT_CLAIMED =
  'that what Cloudflare sent was stored, that nothing was invented, that Date and CF-Ray are those of Cloudflare';

/** For people. The first line is also in README.txt. */
export const reportLines = (report: Report): string[] => {
  const faultsOf = (chapter: Chapter) => report.faults.filter((fault) => fault.chapter === chapter);
  const chapters = (Object.keys(titles) as Chapter[]).flatMap((chapter) => {
    const [faults, claims] = [faultsOf(chapter), report.claims.get(chapter) ?? []];
    if (chapter === 'sample' && faults.length + claims.length === 0) return [];
    const more = (report.faultCounts.get(chapter) ?? 0) - faults.length;
    return [
      `${faults.length > 0 ? 'does not hold' : 'holds'}: ${titles[chapter]}`,
      ...claims.map((line) => `  ${line}`),
      ...faults.map(({ message }) => `  FAULT ${message}`),
      ...(more > 0 ? [`  FAULT and ${more} more`] : []),
    ];
  });
  return [
    ...report.first,
    `${report.verdict}: ${report.subject}`,
    ...chapters,
    `not claimed: 7 the operator's word, whatever is kept: ${NOT_CLAIMED}. To test it: the sample`,
    ...report.said.map((line) => `said: ${line}`),
    `Result: ${report.verdict}.`,
  ];
};

export const reportJson = (report: Report) => ({
  holds: report.holds,
  verdict: report.verdict,
  subject: report.subject,
  first: report.first,
  size: report.size,
  kept_size: report.keptSize,
  claims: Object.fromEntries(
    (Object.keys(titles) as Chapter[]).map((chapter) => [chapter, report.claims.get(chapter) ?? []]),
  ),
  faults: report.faults,
  fault_counts: Object.fromEntries(report.faultCounts),
  said: report.said,
});
