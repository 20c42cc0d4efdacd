import { draw, keyOf, type SourceRef, sourceKey, type Voice } from '../entries/entry-text.ts';
import type { FaultPlan } from '../faults/fault-plan.ts';
import { accountVoice } from './account-templates.ts';
import { type Account, AccountRegistry, populateAccounts } from './accounts.ts';
import { AuditLog, type EntryOrder, type NewEntry, newEntry, type TrueEntry, trueEntry } from './audit-log.ts';
import { BaseHistory, DefectDeal } from './base-history.ts';
import {
  type Organization,
  type OrganizationRegistry,
  organizationVoice,
  populate,
  shares,
  type WorldOptions,
} from './organizations.ts';
import { addUserHistory, appendUserEntry, planUserHistory, UserEntries } from './user-entries.ts';
import { calmed } from './vocabulary.ts';

interface Open {
  readonly source: SourceRef;
  readonly log: AuditLog;
  readonly deal: DefectDeal;
  /** Changes when its account is renamed. */
  voice: Voice;
}

type Period = Readonly<{ count: number; endMs: number; lengthMs: number }>;
const noPast: Period = { count: 0, endMs: 0, lengthMs: 0 };

export class World {
  readonly seed: number;
  readonly organizations: OrganizationRegistry;
  readonly accounts: AccountRegistry;
  readonly faults: FaultPlan;
  readonly userEntries: UserEntries;
  clockOffsetMs = 0;
  readonly #clock: () => number;
  readonly #told: (voice: Voice) => Voice;
  readonly #open = new Map<string, Open>();

  /** Fills the registries, which the fault plan may already know. */
  constructor(
    options: WorldOptions,
    faults: FaultPlan,
    organizations: OrganizationRegistry,
    accounts = new AccountRegistry(),
  ) {
    this.seed = options.seed;
    this.organizations = organizations;
    this.accounts = accounts;
    this.faults = faults;
    this.#told = options.calm ? calmed : (voice) => voice;
    this.userEntries = new UserEntries(options.seed, this.#told);
    this.#clock = options.clock;
    const population = populate(this.organizations, options);
    const counts = shares(options.entries, population.length, options.distribution);
    const { startMs: endMs, historyMs: lengthMs } = options;
    population.forEach((organization, n) => {
      this.openLog(organization, { count: counts[n] as number, endMs, lengthMs });
    });
    this.#openAccounts(populateAccounts(this.accounts, population, options), options);
  }

  #openAccounts(population: readonly Account[], options: WorldOptions): void {
    const { accountEntries, startMs: endMs, historyMs: lengthMs, distribution } = options;
    const copies = planUserHistory(this.userEntries, this.accounts, { entries: accountEntries, endMs, lengthMs });
    const counts = shares(accountEntries - copies.total, population.length, distribution);
    population.forEach((account, n) => {
      this.#start(accountVoice(this.seed, account), { count: counts[n] as number, endMs, lengthMs });
    });
    addUserHistory(this, copies);
  }

  /** Milliseconds since the epoch. */
  nowMs(): number {
    return this.#clock() + this.clockOffsetMs;
  }

  log(source: SourceRef): AuditLog | undefined {
    return this.#open.get(sourceKey(source))?.log;
  }

  /** Refused by hand. */
  isRefused({ kind, id }: SourceRef): boolean {
    const owner = kind === 'organization' ? this.organizations.get(id) : this.accounts.get(id);
    return owner?.refused === true;
  }

  openLog(organization: Organization, period = noPast): AuditLog {
    return this.#start(organizationVoice(this.seed, organization.id), period);
  }

  #start(said: Voice, period: Period): AuditLog {
    const voice = this.#told(said);
    const deal = new DefectDeal(voice, this.faults);
    const log = new AuditLog(new BaseHistory({ voice, faults: this.faults, deal, ...period }));
    this.#open.set(sourceKey(voice.source), { source: voice.source, log, deal, voice });
    return log;
  }

  /** Existing entries keep the old name. */
  renameAccount(account: Account, name: string): void {
    account.formerName = account.name;
    account.name = name;
    const open = this.#open.get(sourceKey({ kind: 'account', id: account.id }));
    if (open !== undefined) open.voice = this.#told(accountVoice(this.seed, account));
  }

  /** Undefined: stands alone from now on. */
  moveAccount(account: Account, organizationId: string | undefined): void {
    const [from, to] = [account.organizationId, organizationId].map((id) => this.organizations.get(id ?? ''));
    account.organizationId = organizationId;
    if (from !== undefined) from.accountIds = from.accountIds.filter((id) => id !== account.id);
    if (to !== undefined) to.accountIds = [...to.accountIds, account.id];
  }

  remove({ kind, id }: SourceRef): void {
    const account = kind === 'account' ? this.accounts.get(id) : undefined;
    if (account !== undefined) this.moveAccount(account, undefined);
    if (kind === 'organization') this.organizations.delete(id);
    else this.accounts.delete(id);
    this.#open.delete(sourceKey({ kind, id }));
  }

  /** Throws RangeError for an unknown source. */
  append(source: SourceRef, entry: NewEntry): void {
    this.#openOf(source).log.append(entry);
  }

  /** With the faults of the data that are on. Throws RangeError for an unknown source. */
  generate(source: SourceRef, order: EntryOrder): void {
    const { log, voice, deal } = this.#openOf(source);
    log.append(newEntry(this.faults, { log, voice, deal }, order));
  }

  /** In every account that the person may use, or in those given. */
  generateUserEntry(order: EntryOrder, accounts?: readonly Account[]): void {
    appendUserEntry(this, order, accounts);
  }

  #openOf(source: SourceRef): Open {
    const open = this.#open.get(sourceKey(source));
    if (open === undefined) throw new RangeError(`There is no ${source.kind} ${source.id}.`);
    return open;
  }

  /** Visible entries (`all`: every entry), log by log in their order. */
  *truth(sha256: (text: string) => string, all = false): Generator<TrueEntry> {
    const nowMs = this.nowMs();
    const everything = { sinceInclusive: true, beforeInclusive: true, direction: 'asc' } as const;
    for (const { source, log } of this.#open.values()) {
      for (const seq of log.walk({ sinceMs: -Infinity, beforeMs: Infinity, ...everything })) {
        if (!all && !log.isVisible(seq, nowMs)) continue;
        yield trueEntry(source, log, seq, sha256);
      }
    }
  }
}

const tickMs = 50;
/** One entry of this many is an organization's, one a user's, the others are accounts'. */
const turns = 10;
const userTurn = 5;

/** Appends at about the given rate, to earlier logs more often. The choice of the log depends on the seed alone. */
export class LiveStream {
  readonly #world: World;
  readonly #entriesPerSecond: number;
  readonly #key: number;
  readonly #startedAtMs = performance.now();
  readonly #timer: NodeJS.Timeout | undefined;
  #made = 0;

  constructor(world: World, entriesPerSecond: number) {
    this.#world = world;
    this.#entriesPerSecond = entriesPerSecond;
    this.#key = keyOf('live', world.seed);
    this.#timer = entriesPerSecond > 0 ? setInterval(() => this.#tick(), tickMs) : undefined;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const due = Math.floor(((performance.now() - this.#startedAtMs) * this.#entriesPerSecond) / 1000);
    const organizations = this.#world.organizations.all().map(({ id }): SourceRef => ({ kind: 'organization', id }));
    const accounts = this.#world.accounts.all().map(({ id }): SourceRef => ({ kind: 'account', id }));
    for (; this.#made < due; this.#made++) this.#make(organizations, accounts);
  }

  #make(organizations: readonly SourceRef[], accounts: readonly SourceRef[]): void {
    const order = { timeMs: Math.floor(this.#world.nowMs()) };
    const turn = accounts.length === 0 ? 0 : this.#made % turns;
    if (turn === userTurn) {
      this.#world.generateUserEntry(order);
      return;
    }
    const sources = turn === 0 ? organizations : accounts;
    // Squaring favours the front of the list.
    const place = (draw(this.#key, this.#made) / 4294967296) ** 2;
    const source = sources[Math.floor(place * sources.length)];
    if (source !== undefined) this.#world.generate(source, order);
  }
}
