import { hash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAccess } from './api/access.ts';
import { ApiFront, RequestLog, type RequestRecord } from './api/api-front.ts';
import { AuditApi } from './api/audit-api.ts';
import { RateLimit } from './api/credentials.ts';
import { basePath, OrganizationsApi } from './api/organizations-api.ts';
import { ControlApi, controlPath } from './control-api.ts';
import { readFacts } from './entries/entry-defects.ts';
import { type SourceRef, sourceOf } from './entries/entry-text.ts';
import { checkedFaultPatch } from './faults/fault-list.ts';
import { FaultPlan } from './faults/fault-plan.ts';
import type {
  AccountChange,
  AccountSummary,
  AppendOptions,
  GenerateOptions,
  OrganizationSummary,
  Simulator,
  SimulatorSummary,
  TruthOptions,
} from './interface.ts';
import { resolveOptions, type SimulatorOptions } from './options.ts';
import { type Account, AccountRegistry } from './world/accounts.ts';
import type { EntryOrder, TrueEntry } from './world/audit-log.ts';
import { type Organization, OrganizationRegistry } from './world/organizations.ts';
import { LiveStream, World } from './world/world.ts';

class RunningSimulator implements Simulator {
  readonly #server: Server;
  readonly #world: World;
  readonly #requests: RequestLog;
  readonly #live: LiveStream;
  readonly faults: Simulator['faults'];
  baseUrl = '';
  controlUrl = '';

  constructor(options: ReturnType<typeof resolveOptions>) {
    const registry = new OrganizationRegistry();
    const accounts = new AccountRegistry();
    const placeOf = ({ kind, id }: SourceRef) => (kind === 'organization' ? registry : accounts).get(id)?.seq;
    const plan = new FaultPlan(options.seed, { clock: options.clock, placeOf });
    plan.patch(typeof options.faults === 'string' ? { preset: options.faults } : checkedFaultPatch(options.faults));
    this.#world = new World({ ...options, hasSubOrganizations: options.subOrganizations }, plan, registry, accounts);
    this.#world.clockOffsetMs = options.clockOffsetMs;
    this.#requests = new RequestLog();
    this.faults = {
      set: (patch) => {
        plan.patch(checkedFaultPatch(patch));
        return plan.current();
      },
      current: () => plan.current(),
      fired: () => plan.fired(),
    };
    const access = createAccess(this.#world, options.keysOnly);
    const front = new ApiFront({
      world: this.#world,
      access,
      audit: new AuditApi(this.#world, options),
      organizations: new OrganizationsApi(this.#world, access, options.listsSubOrganizations),
      rateLimit: new RateLimit(options.budget),
      requests: this.#requests,
      options,
    });
    const control = new ControlApi(this);
    this.#server = createServer((request, response) => {
      const handler = request.url?.startsWith(`${controlPath}/`) === true ? control : front;
      // After a bug, or if the client left while sending, only the connection can be told.
      handler.handle(request, response).catch(() => response.destroy());
    });
    // An idle timeout would be a fault that was not asked for.
    this.#server.keepAliveTimeout = 600_000;
    this.#live = new LiveStream(this.#world, options.liveRate);
  }

  async listen(port: number, host: string): Promise<void> {
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
    const address = this.#server.address() as AddressInfo;
    const origin = `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
    this.baseUrl = origin + basePath;
    this.controlUrl = origin + controlPath;
  }

  async close(): Promise<void> {
    this.#live.stop();
    if (!this.#server.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  append(source: SourceRef | string, texts: readonly string[], options: AppendOptions = {}): void {
    const nowMs = Math.floor(this.#world.nowMs());
    const visibleAtMs = options.visibleAfterMs === undefined ? 0 : nowMs + options.visibleAfterMs;
    const entries = texts.map((text) => ({ text, timeMs: timeOf(text) ?? options.actionTimeMs ?? nowMs, visibleAtMs }));
    for (const entry of entries) this.#world.append(sourceOf(source), entry);
  }

  generate(source: SourceRef | string, count: number, options: GenerateOptions = {}): void {
    for (let n = 0; n < count; n++) this.#world.generate(sourceOf(source), this.#order(n, options));
  }

  generateUserEntries(accountIds: readonly string[], count: number, options: GenerateOptions = {}): void {
    const accounts = accountIds.map((id) => this.#account(id));
    for (let n = 0; n < count; n++) this.#world.generateUserEntry(this.#order(n, options), accounts);
  }

  #order(n: number, { actionTimeMs, spacingMs = 0, visibleAfterMs, bytes }: GenerateOptions): EntryOrder {
    const nowMs = Math.floor(this.#world.nowMs());
    const shownMs = visibleAfterMs === undefined ? undefined : nowMs + visibleAfterMs;
    const visibleAtMs = actionTimeMs === undefined ? shownMs : (shownMs ?? 0);
    return { timeMs: (actionTimeMs ?? nowMs) + n * spacingMs, visibleAtMs, bytes };
  }

  setRefused(source: SourceRef | string, refused: boolean): void {
    const { kind, id } = sourceOf(source);
    const owner = kind === 'account' ? this.#account(id) : this.#organization(id);
    owner.refused = refused;
  }

  changeAccount(accountId: string, { name, organizationId }: AccountChange): void {
    const account = this.#account(accountId);
    if (typeof organizationId === 'string') this.#organization(organizationId);
    if (name !== undefined) this.#world.renameAccount(account, name);
    if (organizationId !== undefined) this.#world.moveAccount(account, organizationId ?? undefined);
  }

  removeAccount(accountId: string): void {
    this.#world.remove({ kind: 'account', id: this.#account(accountId).id });
  }

  #account(id: string): Account {
    const account = this.#world.accounts.get(id);
    if (account === undefined) throw new RangeError(`There is no account ${id}.`);
    return account;
  }

  #organization(id: string): Organization {
    const organization = this.#world.organizations.get(id);
    if (organization === undefined) throw new RangeError(`There is no organization ${id}.`);
    return organization;
  }

  setClockOffset(offsetMs: number): void {
    this.#world.clockOffsetMs = offsetMs;
  }

  *truth({ all, kind }: TruthOptions = {}): Generator<TrueEntry> {
    for (const entry of this.#world.truth((text) => hash('sha256', text), all)) {
      if (kind === undefined || kind === entry.sourceKind) yield entry;
    }
  }

  summary(): SimulatorSummary {
    const organizations = this.#world.organizations.all().map((organization): OrganizationSummary => {
      const { id, name, parentId = null, refused, accountIds, userIds } = organization;
      return { id, name, parentId, ...this.#counts({ kind: 'organization', id }), refused, accountIds, userIds };
    });
    const accounts = this.#world.accounts.all().map((account): AccountSummary => {
      const { id, name, organizationId = null, refused, isImplicit, zones } = account;
      const zoneIds = zones.map((zone) => zone.id);
      return { id, name, organizationId, ...this.#counts({ kind: 'account', id }), refused, isImplicit, zoneIds };
    });
    return {
      nowMs: this.#world.nowMs(),
      requests: this.#requests.total,
      entries: [...organizations, ...accounts].reduce((sum, { entries }) => sum + entries, 0),
      faultsFired: this.faults.fired(),
      organizations,
      accounts,
    };
  }

  #counts(source: SourceRef): { entries: number; invisible: number } {
    const log = this.#world.log(source);
    return { entries: log?.size ?? 0, invisible: log?.invisibleCount(this.#world.nowMs()) ?? 0 };
  }

  get requestCount(): number {
    return this.#requests.total;
  }

  requests(): RequestRecord[] {
    return this.#requests.records();
  }

  onRequest(listener: (record: RequestRecord) => void): () => void {
    return this.#requests.onRequest(listener);
  }
}

function timeOf(text: string): number | undefined {
  try {
    const { actionTime } = readFacts(text);
    return actionTime === null ? undefined : Date.parse(actionTime);
  } catch {
    throw new RangeError(`Not the JSON text of one entry: ${text.slice(0, 80)}`);
  }
}

/** Throws RangeError on a bad option; rejects if the port is unavailable. */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const resolved = resolveOptions(options);
  const simulator = new RunningSimulator(resolved);
  try {
    await simulator.listen(resolved.port, resolved.host);
  } catch (error) {
    await simulator.close();
    throw error;
  }
  return simulator;
}
