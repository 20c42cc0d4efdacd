import { defectiveText, readFacts } from '../faults/entry-defects.ts';
import type { FaultPlan } from '../faults/fault-plan.ts';
import { AuditLog, type NewEntry } from './audit-log.ts';
import { BaseHistory, DefectDeal, lateness } from './base-history.ts';
import { entryMark, entryParts, joinParts, padParts, timeText } from './entry-text.ts';
import { populate, shares } from './organization-population.ts';
import type { Organization, OrganizationRegistry } from './organization-registry.ts';
import { type OrganizationVoice, organizationVoice } from './organization-voice.ts';
import { draw } from './random.ts';

export interface WorldOptions {
  readonly seed: number;
  readonly organizations: number;
  readonly entries: number;
  readonly historyMs: number;
  readonly startMs: number;
  readonly distribution: 'zipf' | 'uniform';
  readonly hasSubOrganizations: boolean;
  /** Milliseconds since the epoch, without the offset. */
  readonly clock: () => number;
}

/** One entry as it was born, and what came of it. */
export interface TrueEntry {
  readonly organizationId: string;
  /** Null when the entry has none that a text column could hold. */
  readonly id: string | null;
  /** Lower-case hexadecimal, of the exact text of the element (UTF-8) as it was first served. */
  readonly sha256: string;
  /** `action.time` as written in the entry; null when it is missing or no date. */
  readonly actionTime: string | null;
  /** The time by which the log orders and selects the entry, for every entry. Milliseconds since the epoch. */
  readonly logTimeMs: number;
  /** sha256 of later texts under the same id (fault `changed_content`), oldest first. */
  readonly changes: readonly string[];
  /** The exact text. */
  raw(): string;
}

/** A generated entry that is to come into being. Unnamed: visible at once, unless the fault `late` says otherwise. */
export interface EntryOrder {
  readonly timeMs: number;
  readonly visibleAtMs?: number;
  /** Its text has so many bytes at least; it then has no defect. */
  readonly bytes?: number;
}

const equalWithinMs = 1000;

/** Everything that the simulated Cloudflare knows: organizations, logs, clock, faults. */
export class World {
  readonly seed: number;
  readonly organizations: OrganizationRegistry;
  readonly faults: FaultPlan;
  clockOffsetMs = 0;
  readonly #clock: () => number;
  readonly #logs = new Map<string, AuditLog>();
  readonly #voices = new Map<string, OrganizationVoice>();
  readonly #deals = new Map<string, DefectDeal>();

  /** Fills the registry, which the fault plan may already know. */
  constructor(options: WorldOptions, faults: FaultPlan, organizations: OrganizationRegistry) {
    this.seed = options.seed;
    this.organizations = organizations;
    this.faults = faults;
    this.#clock = options.clock;
    const population = populate(this.organizations, { ...options, count: options.organizations });
    const counts = shares(options.entries, population.length, options.distribution);
    population.forEach((organization, n) => {
      this.openLog(organization, { count: counts[n] as number, endMs: options.startMs, lengthMs: options.historyMs });
    });
  }

  /** The simulator's own time, milliseconds since the epoch. */
  nowMs(): number {
    return this.#clock() + this.clockOffsetMs;
  }

  log(organizationId: string): AuditLog | undefined {
    return this.#logs.get(organizationId);
  }

  /** Starts the log of a new organization. */
  openLog(organization: Organization, period = { count: 0, endMs: 0, lengthMs: 0 }): AuditLog {
    const voice = organizationVoice(this.seed, organization.id, organization.accountIds);
    const deal = new DefectDeal(voice, this.faults);
    const log = new AuditLog(new BaseHistory({ voice, faults: this.faults, deal, ...period }));
    this.#voices.set(organization.id, voice);
    this.#deals.set(organization.id, deal);
    this.#logs.set(organization.id, log);
    return log;
  }

  /** Removes an organization and its log. */
  remove(organizationId: string): void {
    this.organizations.delete(organizationId);
    this.#logs.delete(organizationId);
    this.#voices.delete(organizationId);
    this.#deals.delete(organizationId);
  }

  /** Appends an entry with a given text. Throws RangeError: no such organization. */
  append(organizationId: string, entry: NewEntry): void {
    this.#logOf(organizationId).append(entry);
  }

  /** Appends a generated entry with the faults of the data that are on. Throws RangeError: no such organization. */
  generate(organizationId: string, order: EntryOrder): void {
    const log = this.#logOf(organizationId);
    const voice = this.#voices.get(organizationId) as OrganizationVoice;
    log.append(this.#faultyEntry(log, voice, order));
  }

  #logOf(organizationId: string): AuditLog {
    const log = this.#logs.get(organizationId);
    if (log === undefined) throw new RangeError(`There is no organization ${organizationId}.`);
    return log;
  }

  #faultyEntry(log: AuditLog, voice: OrganizationVoice, order: EntryOrder): NewEntry {
    const { organizationId } = voice;
    const { bytes } = order;
    const occasion = { number: draw(voice.key, log.nextSeq), organizationId };
    const happens = (name: Parameters<FaultPlan['fires']>[0]): number | undefined => this.faults.fires(name, occasion);
    const lastMs = log.lastTimeMs ?? Number.NEGATIVE_INFINITY;
    // Only right after the entry before: later, it would be a late entry, which is another fault.
    const canBeEqual = Math.abs(order.timeMs - lastMs) <= equalWithinMs;
    const timeMs = canBeEqual && happens('equal_timestamps') !== undefined ? lastMs : order.timeMs;
    const late = order.visibleAtMs === undefined ? happens('late') : undefined;
    const moved = happens('out_of_order');
    const marks =
      (happens('unknown_enums') === undefined ? 0 : entryMark.unknownEnum) +
      (happens('cf_rayid') === undefined ? 0 : entryMark.oldRayKey);
    const defect = bytes === undefined ? this.#deals.get(organizationId)?.next(log.nextSeq) : undefined;
    const lateAtMs = late === undefined ? 0 : timeMs + lateness(late, this.faults.parameters.lateDelayMs);
    return {
      timeMs,
      orderMs: moved === undefined ? timeMs : timeMs + 1 + (moved % 5000),
      visibleAtMs: order.visibleAtMs ?? lateAtMs,
      text: (index) => {
        if (defect !== undefined) return defectiveText(voice, index, timeMs, marks, defect);
        const parts = entryParts(voice, index, timeMs, marks);
        if (bytes !== undefined) padParts(parts, bytes);
        return joinParts(parts);
      },
    };
  }

  /** Every entry visible by now (`all`: every entry), organization by organization, in the order of their logs. */
  *truth(sha256: (text: string) => string, all = false): Generator<TrueEntry> {
    const nowMs = this.nowMs();
    const everything = { sinceInclusive: true, beforeInclusive: true, direction: 'asc' } as const;
    for (const [organizationId, log] of this.#logs) {
      for (const seq of log.walk({ sinceMs: -Infinity, beforeMs: Infinity, ...everything })) {
        if (!all && !log.isVisible(seq, nowMs)) continue;
        yield trueEntry(organizationId, log, seq, sha256);
      }
    }
  }
}

function trueEntry(organizationId: string, log: AuditLog, seq: number, sha256: (text: string) => string): TrueEntry {
  const text = log.originalText(seq);
  const logTimeMs = log.timeMs(seq);
  // Reading a million plain entries takes seconds; their id is where it always is.
  const facts = log.isPlain(seq)
    ? { id: text.slice(7, text.indexOf('"', 7)), actionTime: timeText(logTimeMs) }
    : readFacts(text);
  return {
    organizationId,
    ...facts,
    sha256: sha256(text),
    logTimeMs,
    changes: log.revisions(seq).map(sha256),
    raw: () => log.originalText(seq),
  };
}
