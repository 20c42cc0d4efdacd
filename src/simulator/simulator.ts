import { hash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ApiFront, basePath } from './api/api-front.ts';
import { OrganizationsApi } from './api/organizations-api.ts';
import { RateLimit } from './api/rate-limit.ts';
import { RequestLog, type RequestRecord } from './api/request-log.ts';
import { AuditApi } from './audit/audit-api.ts';
import { ControlApi, controlPath } from './control/control-api.ts';
import { readFacts } from './faults/entry-defects.ts';
import { checkedFaultPatch } from './faults/fault-patch.ts';
import { FaultPlan } from './faults/fault-plan.ts';
import type {
  AppendOptions,
  GenerateOptions,
  OrganizationSummary,
  Simulator,
  SimulatorSummary,
} from './simulator-interface.ts';
import { resolveOptions, type SimulatorOptions } from './simulator-options.ts';
import { LiveStream } from './world/live-stream.ts';
import { OrganizationRegistry } from './world/organization-registry.ts';
import { type TrueEntry, World } from './world/world.ts';

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
    const plan = new FaultPlan(options.seed, { clock: options.clock, placeOf: (id) => registry.get(id)?.seq });
    plan.patch(typeof options.faults === 'string' ? { preset: options.faults } : checkedFaultPatch(options.faults));
    this.#world = new World({ ...options, hasSubOrganizations: options.subOrganizations }, plan, registry);
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
    const front = new ApiFront({
      world: this.#world,
      audit: new AuditApi(this.#world, options),
      organizations: new OrganizationsApi(this.#world, options.listsSubOrganizations),
      rateLimit: new RateLimit(options.budget),
      requests: this.#requests,
      acceptedCredentials: options.credentials,
    });
    const control = new ControlApi(this);
    this.#server = createServer((request, response) => {
      const handler = request.url?.startsWith(`${controlPath}/`) === true ? control : front;
      // A bug here, or a client that went away while it sent its body: only the connection can be told.
      handler.handle(request, response).catch(() => response.destroy());
    });
    // A client that keeps connections must not meet one closed by an idle timeout: that would be a fault that was not asked for.
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

  append(organizationId: string, texts: readonly string[], options: AppendOptions = {}): void {
    const nowMs = Math.floor(this.#world.nowMs());
    const visibleAtMs = options.visibleAfterMs === undefined ? 0 : nowMs + options.visibleAfterMs;
    const entries = texts.map((text) => ({ text, timeMs: timeOf(text) ?? options.actionTimeMs ?? nowMs, visibleAtMs }));
    for (const entry of entries) this.#world.append(organizationId, entry);
  }

  generate(organizationId: string, count: number, options: GenerateOptions = {}): void {
    const { actionTimeMs, spacingMs = 0, visibleAfterMs, bytes } = options;
    const visibleAtMs = actionTimeMs === undefined && visibleAfterMs === undefined ? {} : { visibleAtMs: 0 };
    for (let n = 0; n < count; n++) {
      const nowMs = Math.floor(this.#world.nowMs());
      this.#world.generate(organizationId, {
        timeMs: (actionTimeMs ?? nowMs) + n * spacingMs,
        ...visibleAtMs,
        ...(visibleAfterMs === undefined ? {} : { visibleAtMs: nowMs + visibleAfterMs }),
        ...(bytes === undefined ? {} : { bytes }),
      });
    }
  }

  setRefused(organizationId: string, refused: boolean): void {
    const organization = this.#world.organizations.get(organizationId);
    if (organization === undefined) throw new RangeError(`There is no organization ${organizationId}.`);
    organization.refused = refused;
  }

  setClockOffset(offsetMs: number): void {
    this.#world.clockOffsetMs = offsetMs;
  }

  truth(options: { readonly all?: boolean } = {}): Iterable<TrueEntry> {
    return this.#world.truth((text) => hash('sha256', text), options.all);
  }

  summary(): SimulatorSummary {
    const nowMs = this.#world.nowMs();
    const organizations = this.#world.organizations.all().map((organization): OrganizationSummary => {
      const { id, name, parentId = null, refused, accountIds, userIds } = organization;
      const log = this.#world.log(id);
      const counts = { entries: log?.size ?? 0, invisible: log?.invisibleCount(nowMs) ?? 0 };
      return { id, name, parentId, ...counts, refused, accountIds, userIds };
    });
    return {
      nowMs,
      requests: this.#requests.total,
      entries: organizations.reduce((sum, { entries }) => sum + entries, 0),
      faultsFired: this.faults.fired(),
      organizations,
    };
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

/** Starts a simulated Cloudflare. Throws RangeError on a bad option; rejects when the port cannot be had. */
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
