import { setTimeout as sleep } from 'node:timers/promises';
import { evidenceWorlds } from './evidence-scenarios.ts';
import type { AlertWorld, WorldPlan } from './world.ts';

/** One cause, and the alerts that it must bring, with what each must say. */
export interface Scenario {
  readonly cause: string;
  readonly alerts: Readonly<Record<string, RegExp>>;
  /** Alerts that may come of it as well. */
  readonly also?: readonly string[];
  readonly provoke: (world: AlertWorld) => void | Promise<void>;
  /** What the daemons repair by themselves is done again before each look at the alerts. */
  readonly provokeAgain?: (world: AlertWorld) => Promise<void>;
  readonly mend?: (world: AlertWorld) => void | Promise<void>;
}

export interface WorldScenarios {
  readonly plan: WorldPlan;
  readonly scenarios: readonly Scenario[];
  /** Reads everything first, and then nothing must fire for a while. */
  readonly healthyFirst: boolean;
}

const nothing = () => {};
const firstOrganization = ({ simulator }: AlertWorld): string => simulator.summary().organizations[0]?.id ?? '';

const organizationsApi = async (world: AlertWorld, method: string, path: string, body?: unknown): Promise<unknown> => {
  const response = await fetch(`${world.simulator.baseUrl}/organizations${path}`, {
    method,
    headers: { authorization: 'Bearer token-of-the-alert-run', 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} of an organization was answered with ${response.status}`);
  return await response.json();
};

const createOrganization = async (world: AlertWorld): Promise<string> => {
  const { result } = (await organizationsApi(world, 'POST', '', { name: 'Short-lived' })) as { result: { id: string } };
  return result.id;
};

/** An entry as Cloudflare would send it. `more` replaces parts of it. */
const entryText = (id: string | undefined, timeMs: number, description: string): string =>
  JSON.stringify({
    ...(id === undefined ? {} : { id }),
    account: { id: 'a'.repeat(32), name: 'Example' },
    action: { description, result: 'success', time: new Date(timeMs).toISOString(), type: 'update' },
    actor: { context: 'dash', email: 'person@example.com', id: 'b'.repeat(32), type: 'user' },
    resource: { id: 'c'.repeat(32), product: 'dns_records', type: 'dns_record' },
  });

const BLOCK_SECONDS = 25;
/** Longer ago than the last settle pass of the world, 4 s, and not longer than the live tail looks back, 2 minutes. */
const TOO_LATE_MS = 60_000;

const daemonsInTrouble: WorldScenarios = {
  healthyFirst: true,
  plan: {
    name: 'two-replicas',
    replicas: 2,
    sink: true,
    simulator: { organizations: 6, entries: 1_500, budget: null },
  },
  scenarios: [
    {
      cause: 'an id comes again with other content',
      alerts: { OrgtrailEntriesChanged: /re-sent with different content/ },
      provoke: async (world) => {
        const id = firstOrganization(world);
        world.simulator.append(id, [entryText('changed', Date.now(), 'what was seen first')]);
        while ((await world.stored('changed')) === 0) await sleep(100);
        world.simulator.append(id, [entryText('changed', Date.now(), 'something else')]);
      },
    },
    {
      cause: 'an entry without an id',
      alerts: { OrgtrailEntriesDefective: /Malformed audit log entries/ },
      provoke: (world) =>
        world.simulator.append(firstOrganization(world), [entryText(undefined, Date.now(), 'defective')]),
    },
    {
      cause: 'an entry a minute late, with the last settle pass after 4 s',
      alerts: { OrgtrailLateBeyondLastPass: /Late entries arrived after the final re-read pass/ },
      provoke: (world) =>
        world.simulator.append(firstOrganization(world), [entryText('late', Date.now() - TOO_LATE_MS, 'late')]),
    },
    {
      cause: 'an event of weeks ago is removed from the database by hand',
      alerts: { OrgtrailScrubFound: /Re-reading history found entries missing from the database/ },
      provoke: async (world) => {
        // A look far back may find it first, which is no find of a round.
        while ((await world.query('select from checks where missing > 0')).length === 0) {
          const id = await world.removeOld();
          while ((await world.stored(id)) === 0) await sleep(100);
        }
      },
    },
    {
      cause: 'a sink that rejects one event permanently (400)',
      alerts: { OrgtrailSinkDeadLetters: /The sink siem rejects events permanently/ },
      provoke: (world) => {
        world.setReceiver({ refuses: 'poison' });
        world.simulator.append(firstOrganization(world), [entryText('poison', Date.now(), 'poison')]);
      },
    },
    {
      cause: 'a sink that is away (503)',
      alerts: {
        OrgtrailSinkBehind: /Events wait for .* to be delivered to the sink siem/,
        OrgtrailSinkFailing: /Deliveries to the sink siem fail: \d+ consecutive failures/,
      },
      provoke: (world) => world.setReceiver('away'),
      mend: (world) => world.setReceiver('open'),
    },
    {
      cause: 'an organization is created, read, and deleted',
      alerts: { OrgtrailOrganizationGone: /vanished from Cloudflare within a day: 1\.$/ },
      // Until it is gone.
      also: ['OrgtrailOrganizationRefused', 'OrgtrailGapNearsRetention'],
      provoke: async (world) => {
        const id = await createOrganization(world);
        world.simulator.append(id, [entryText('of the deleted one', Date.now(), 'read in time')]);
        while ((await world.stored('of the deleted one')) === 0) await sleep(100);
        await organizationsApi(world, 'DELETE', `/${id}`);
      },
      // It is gone once its log has refused for a quarter of an hour.
      provokeAgain: ({ execute }) =>
        execute(
          "update organization_changes set changed_at = changed_at - interval '16 minutes' where change = 'refused' and changed_at > now() - interval '15 minutes'",
        ),
    },
    {
      cause: 'an entry that makes every page with it answer 500',
      alerts: { OrgtrailCoverageHole: /miscounts\): 1\.$/ },
      // Its organization is read around it, which takes some attempts.
      also: ['OrgtrailNotFresh'],
      provoke: (world) => {
        world.simulator.append(firstOrganization(world), [entryText('poison of a page', Date.now(), 'poison')]);
        world.simulator.faults.set({ poison_page: { ids: ['poison of a page'] } });
      },
      mend: ({ simulator }) => void simulator.faults.set({ poison_page: null }),
    },
    {
      cause: 'coverage that claims the next hour, as version 0.1 did when a Date was ahead',
      alerts: { OrgtrailClockAhead: /could not have been read yet/, OrgtrailCoverageBeyondNow: /claims the next \d/ },
      provoke: nothing,
      // A daemon cuts it at its next plan, and Prometheus looks once a second.
      provokeAgain: ({ execute }) =>
        execute(
          "update coverage set ranges = ranges + tstzmultirange(tstzrange(now(), now() + interval '1 hour')) where pass = 0",
        ),
    },
    {
      cause: 'the Date of every answer is an hour ahead',
      alerts: { OrgtrailClocksDiffer: /differ by (59m|1h) / },
      provoke: ({ simulator }) => void simulator.faults.set({ wrong_date: { offsetSeconds: 3_600 } }),
      mend: ({ simulator }) => void simulator.faults.set({ wrong_date: null }),
    },
    {
      cause: `a block (429, Retry-After: ${BLOCK_SECONDS})`,
      alerts: { OrgtrailApiBlocked: /blocks the credential for another \d/ },
      also: ['OrgtrailNotFresh', 'OrgtrailNotReady'],
      provoke: ({ simulator }) =>
        void simulator.faults.set({ throttled: { probability: 1, count: 1 }, retryAfterSeconds: BLOCK_SECONDS }),
    },
    {
      cause: 'an API that takes connections and never answers',
      alerts: { OrgtrailNotReady: /have not been listed for \d/, OrgtrailNotFresh: /: 6\.$/ },
      provoke: ({ gate }) => gate.setMode('silent'),
      mend: ({ gate }) => gate.setMode('open'),
    },
    {
      cause: 'one replica of two is killed',
      alerts: { OrgtrailReplicaDown: /orgtrail replicas down: 1\./ },
      also: ['OrgtrailNotFresh', 'OrgtrailNotReady'],
      provoke: ({ replicas }) => void replicas[1]?.child.kill('SIGKILL'),
    },
    {
      cause: 'the other one, too',
      alerts: { OrgtrailDown: /All orgtrail targets are down/ },
      provoke: ({ replicas }) => void replicas[0]?.child.kill('SIGKILL'),
    },
  ],
};

const refused: WorldScenarios = {
  healthyFirst: false,
  plan: {
    name: 'refused',
    replicas: 1,
    simulator: { organizations: 4, entries: 400 },
    prepare: (simulator) => simulator.setRefused(simulator.summary().organizations[0]?.id ?? '', true),
  },
  scenarios: [
    {
      cause: 'an organization refuses (403), and none of its 18 months has been read',
      alerts: { OrgtrailOrganizationRefused: /\(403\): 1\.$/ },
      // What never was readable is not counted down.
      also: ['OrgtrailGapNearsRetention'],
      provoke: nothing,
    },
  ],
};

const noBudget: WorldScenarios = {
  healthyFirst: false,
  plan: {
    name: 'budget',
    replicas: 1,
    simulator: { organizations: 5, entries: 20_000, pageCap: 50 },
    env: { ORGTRAIL_API_BUDGET: '60' },
  },
  scenarios: [
    {
      cause: 'a backfill of 400 pages, and a budget of 60 requests in 5 minutes',
      alerts: { OrgtrailBudgetExhausted: /used up without a break/ },
      also: ['OrgtrailNotFresh', 'OrgtrailNotReady', 'OrgtrailGapNearsRetention', 'OrgtrailLateBeyondLastPass'],
      provoke: nothing,
    },
  ],
};

const noOrganization: WorldScenarios = {
  healthyFirst: false,
  plan: { name: 'empty', replicas: 1, simulator: { organizations: 0, entries: 0 } },
  scenarios: [
    {
      cause: 'a credential that sees no organization',
      alerts: { OrgtrailNoOrganizations: /knows no organization/ },
      provoke: nothing,
    },
  ],
};

/** Worlds of one list live at the same time, the lists one after the other. */
export const schedule: readonly (readonly WorldScenarios[])[] = [
  [refused, noBudget, noOrganization],
  [daemonsInTrouble],
  ...evidenceWorlds,
];

/** An archive is tried once in ten minutes, whatever the clock of the rules is: its alerts have cases of promtool alone. */
export const isOfPromtoolAlone = (alert: string): boolean =>
  /^Orgtrail(Archive|AccessLog|GapNearsRetention|EvidenceUnverified|EvidenceHeldBack)/.test(alert);
