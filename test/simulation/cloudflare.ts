import { ApiError, type ApiFailure } from '../../src/base/errors.ts';
import { createServerClock } from '../../src/ingest/cloudflare/wire/request.ts';
import type { Page } from '../../src/ingest/entries/page.ts';
import type { Range } from '../../src/ingest/planning/coverage.ts';
import type { FoundOrganization } from '../../src/ingest/planning/source.ts';
import { type Filter, requestWindow, type Walk } from '../../src/ingest/planning/walk.ts';
import type { AuditApi, ListingFilter } from '../../src/ingest/sync/ports.ts';
import { SimulatedAuditLog } from './audit-log.ts';
import type { Checker } from './checker.ts';
import type { Process } from './process.ts';
import type { ScheduledEvent, VirtualScheduler } from './scheduler.ts';
import type { SimulatedOrganization, World } from './world.ts';

/** A request for the first page of a window. */
export interface AskedWindow {
  readonly organizationId: string;
  readonly filterHash: string;
  readonly filters: readonly Filter[];
  readonly window: Range;
}

/** What the client gives up after. */
const CLIENT_TIMEOUT_MS = 30_000;
const LISTING_PAGE = 2;
const failures: readonly ApiFailure[] = ['throttled', 'server', 'server', 'connection', 'unreadable', 'timeout'];

/** Cloudflare, as seen through the port of src/ingest/sync. */
export class SimulatedCloudflare {
  readonly #world: World;
  readonly #scheduler: VirtualScheduler;
  readonly #checker: Checker;
  readonly #logs = new Map<string, SimulatedAuditLog>();
  readonly #isKnownToGoOn: (asked: AskedWindow) => boolean;
  readonly #redacted = new Set<string>();

  constructor(
    world: World,
    scheduler: VirtualScheduler,
    checker: Checker,
    isKnownToGoOn: (asked: AskedWindow) => boolean,
  ) {
    this.#isKnownToGoOn = isKnownToGoOn;
    this.#world = world;
    this.#scheduler = scheduler;
    this.#checker = checker;
    for (const organization of world.organizations) {
      this.#logs.set(organization.id, new SimulatedAuditLog(world, organization, scheduler, checker, this.#redacted));
    }
  }

  logOf(organizationId: string): SimulatedAuditLog | undefined {
    return this.#logs.get(organizationId);
  }

  /** It is in no answer any more. */
  redact(id: string): void {
    this.#redacted.add(id);
  }

  isRedacted(id: string): boolean {
    return this.#redacted.has(id);
  }

  /** The port, for one process: its own connection, its own idea of Cloudflare's time. */
  connect(process: Process): AuditApi {
    const clock = createServerClock(() => process.monotonicMs());
    const send = <T>(request: Omit<Request<T>, 'process' | 'observe'>): Promise<T> =>
      this.#send({
        ...request,
        process,
        observe: (dateMs) => {
          clock.observe(new Date(dateMs).toUTCString());
          request.hears?.(dateMs);
        },
      });
    return {
      fetchPage: async ({ id: organizationId }, walk, signal) => {
        let dateMs: number | undefined;
        const page = await send({
          what: `page of ${organizationId}`,
          signal,
          begins: () => this.#checker.pageAsked(walk),
          answer: () => this.#page(organizationId, walk, process),
          hears: (ms) => {
            dateMs = ms;
          },
        });
        page.servedAtMs = dateMs;
        return page;
      },
      // The worlds have no accounts.
      listAccounts: async function* () {},
      listAccountsOf: async function* () {},
      probeAuditLog: ({ id: organizationId }, signal) =>
        send({ what: `log of ${organizationId}`, signal, answer: () => this.#probe(organizationId) }),
      listOrganizations: (filter, signal) => this.#list(filter, (answer, what) => send({ what, signal, answer })),
      getOrganization: (id, signal) => send({ what: 'organization', signal, answer: () => this.#organization(id) }),
      getProfile: (_id, signal) => send({ what: 'profile', signal, answer: () => this.#profile() }),
      nowMs: () => clock.nowMs(),
    };
  }

  #dateIsOff(what: string): number {
    const { wrongDate } = this.#world.api;
    if (wrongDate === undefined || !isWithin(wrongDate, this.#scheduler.nowMs)) return 0;
    if (wrongDate.listingOnly && !what.startsWith('listing')) return 0;
    this.#checker.reached('wrong date');
    return wrongDate.offMs;
  }

  get #faulty(): boolean {
    return this.#scheduler.nowMs < this.#world.faultsUntilMs;
  }

  #send<T>(request: Request<T>): Promise<T> {
    const { signal, what, process, answer } = request;
    if (signal.aborted) return Promise.reject(signal.reason);
    request.begins?.();
    const sent = this.#checker.requestBegins(process, what);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    let event: ScheduledEvent | undefined;
    const end = () => {
      this.#checker.requestEnds(sent);
      this.#scheduler.unlisten(abort);
    };
    const abort = () => {
      if (event !== undefined) event.cancelled = true;
      end();
      reject(signal.reason);
    };
    this.#scheduler.listen(signal, abort);
    const receive = (use: () => void) => {
      if (process.mayCrash('an answer of Cloudflare')) return;
      end();
      use();
    };
    const scheduler = this.#scheduler;
    const { delayMs, hangs } = this.#drawDelay();
    if (hangs) {
      const giveUp = () => reject(new ApiError('timeout', 'simulated'));
      event = scheduler.after(CLIENT_TIMEOUT_MS, 'time-out', () => receive(giveUp), process);
      return promise;
    }
    const servedAfterMs = scheduler.dice.between(0, delayMs);
    event = scheduler.after(servedAfterMs, `${what} served`, () => {
      const outcome = settle(answer);
      const dateMs = Math.floor((scheduler.nowMs + this.#dateIsOff(what)) / 1_000) * 1_000;
      const deliver = () => {
        if (!(outcome.error instanceof ApiError && outcome.error.failure === 'connection')) request.observe(dateMs);
        if (outcome.error === undefined) resolve(outcome.value as T);
        else reject(outcome.error);
      };
      event = scheduler.after(delayMs - servedAfterMs, `${what} answered`, () => receive(deliver), process);
    });
    return promise;
  }

  #drawDelay(): { readonly delayMs: number; readonly hangs: boolean } {
    const { dice } = this.#scheduler;
    const { api } = this.#world;
    if (this.#faulty && dice.chance(api.hangRate)) return { delayMs: 0, hangs: true };
    const slow = this.#faulty && dice.chance(api.slowRate);
    return { delayMs: slow ? dice.between(1_000, 40_000) : dice.between(10, 400), hangs: false };
  }

  #mayFail(rate: number): void {
    const { dice } = this.#scheduler;
    if (this.#faulty && dice.chance(rate)) throw new ApiError(dice.pick(failures), 'simulated');
  }

  #page(organizationId: string, walk: Walk, process: Process): Page {
    this.#checker.pageOf(organizationId);
    this.#mayFail(this.#world.api.failRate);
    const organization = this.#world.organizations.find(({ id }) => id === organizationId);
    const log = this.#logs.get(organizationId);
    if (organization === undefined || log === undefined) throw new ApiError('not_found', 'simulated', { status: 404 });
    if (isWithin(organization.refused, this.#scheduler.nowMs)) {
      throw new ApiError('refused', 'simulated', { status: 403 });
    }
    const { filterHash, filters, isDaemon } = process;
    const mayBeShort = () =>
      isDaemon && this.#isKnownToGoOn({ organizationId, filterHash, filters, window: requestWindow(walk) });
    const page = log.answer(walk, filters, this.#faulty, mayBeShort);
    this.#checker.pageServed(organizationId, process.filterHash, walk);
    return page;
  }

  #probe(organizationId: string): 'open' | 'refused' {
    this.#mayFail(this.#world.api.failRate);
    const organization = this.#world.organizations.find(({ id }) => id === organizationId);
    return isWithin(organization?.refused, this.#scheduler.nowMs) ? 'refused' : 'open';
  }

  async *#list(
    filter: ListingFilter,
    send: (answer: () => readonly FoundOrganization[], what: string) => Promise<readonly FoundOrganization[]>,
  ): AsyncGenerator<readonly FoundOrganization[]> {
    const { allowList, api } = this.#world;
    const what = filter.parentId === undefined ? 'listing' : 'listing below';
    for (let from = 0; ; from += LISTING_PAGE) {
      const page = await send(() => {
        this.#mayFail(api.failListingRate);
        if (allowList) throw new ApiError('refused', 'simulated', { status: 403 });
        return this.#listed(filter)
          .slice(from, from + LISTING_PAGE)
          .map(toFound);
      }, what);
      yield page;
      if (page.length < LISTING_PAGE) return;
    }
  }

  #listed(filter: ListingFilter): readonly SimulatedOrganization[] {
    const { nowMs } = this.#scheduler;
    return this.#world.organizations.filter(
      ({ below, appearsAtMs, unlisted }) =>
        below === filter.parentId && appearsAtMs <= nowMs && !isWithin(unlisted, nowMs),
    );
  }

  #organization(id: string): FoundOrganization {
    this.#mayFail(this.#world.api.failListingRate);
    const found = this.#world.organizations.find((organization) => organization.id === id);
    if (found === undefined) throw new ApiError('not_found', 'simulated', { status: 404 });
    return toFound(found);
  }

  #profile(): unknown {
    this.#mayFail(this.#world.api.failRate);
    return {};
  }
}

interface Request<T> {
  readonly process: Process;
  readonly what: string;
  readonly signal: AbortSignal;
  readonly begins?: () => void;
  /** The `Date` of the answer. */
  readonly hears?: (dateMs: number) => void;
  /** At the moment when Cloudflare serves it. */
  readonly answer: () => T;
  readonly observe: (dateMs: number) => void;
}

const settle = <T>(answer: () => T): { readonly value?: T; readonly error?: unknown } => {
  try {
    return { value: answer() };
  } catch (error) {
    return { error };
  }
};

const isWithin = (span: { readonly fromMs: number; readonly toMs: number } | undefined, nowMs: number): boolean =>
  span !== undefined && nowMs >= span.fromMs && nowMs < span.toMs;

const toFound = ({ id, below }: SimulatedOrganization): FoundOrganization => ({
  id,
  name: `Name of ${id}`,
  ...(below === undefined ? {} : { parentId: below }),
});
