import type { FindingList } from '../../../findings/list-findings.sql.ts';
import type { DetectionMute } from '../../../findings/mutes.sql.ts';
import type { OrganizationName } from '../../../organizations/organization-name.ts';
import type { SearchFault } from '../../../search/search.ts';

/** Findings of a page; those of all pages are limited by `MAX_PAGE`. */
export const PAGE_SIZE = 50;
export const MAX_PAGE = 20;

/** What of the page's address is kept in its links, as it was written. */
export interface DetectionsGiven {
  readonly since: string;
  readonly before: string;
  readonly organization: string;
  readonly severity: string;
  readonly detection: string;
  /** `shown`: muted ones are listed and counted, too. */
  readonly muted: string;
}

export interface DetectionsView {
  readonly given: DetectionsGiven;
  readonly page: number;
  readonly faults: readonly SearchFault[];
  readonly organizations: readonly OrganizationName[];
  /** Undefined: there are faults, or they could not be looked for. */
  readonly list: FindingList | undefined;
  readonly mutes: readonly DetectionMute[];
  /** Why they could not. */
  readonly failure: string | undefined;
  readonly nowMs: number;
}

/** The page with something else asked for, from its first page on. */
export const detectionsHref = (given: DetectionsGiven, change: Partial<DetectionsGiven>, page = 1): string => {
  const parameters = new URLSearchParams(Object.entries({ ...given, ...change }).filter(([, value]) => value !== ''));
  if (page > 1) parameters.set('page', String(page));
  const text = parameters.toString();
  return text === '' ? '/detections' : `/detections?${text}`;
};
