import { mkdirSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { vkeysOf } from '../../src/evidence/builder/signing-keys.ts';
import { newSigner } from '../../test/support/evidence/builder-world.ts';
import type { Scenario, WorldScenarios } from './scenarios.ts';
import type { AlertWorld } from './world.ts';

// What OrgtrailScrubFound and the like say of a database that goes back is tried in other worlds.
const ofTheRestore = [
  'OrgtrailScrubFound',
  'OrgtrailLateBeyondLastPass',
  'OrgtrailNotFresh',
  'OrgtrailEvidenceLagging',
];

const untilSigned = async ({ query }: AlertWorld): Promise<void> => {
  const isSigned = `select from evidence_logs l, feed_head h where l.name = 'events' and h.position > 0 and l.signed_size = h.position`;
  while ((await query(isSigned)).length === 0) await sleep(100);
};

/** As if the process that builds had lost its lease: it claims it again, and compares with everything that it can read. */
const loseLease = `update evidence_logs set lease_epoch = lease_epoch + 1, lease_until = null`;

const wormOf = (directory: string): string => join(directory, 'worm');

const withAnchor = (name: string): WorldScenarios['plan'] => ({
  name,
  replicas: 1,
  simulator: { organizations: 2, entries: 200, budget: null },
  evidence: (directory) => {
    mkdirSync(wormOf(directory));
    return { ORGTRAIL_EVIDENCE_ANCHORS: `file:${wormOf(directory)}` };
  },
});

const anchorGone: Scenario = {
  cause: 'the directory of an anchor is gone, and was for two hours',
  alerts: { OrgtrailEvidenceAnchorOld: /^The anchor file:.* no new checkpoint of the evidence for \d+h / },
  provoke: async ({ directory, execute }) => {
    await rm(wormOf(directory), { recursive: true });
    await execute(`update evidence_anchors set at = at - interval '2 hours'`);
  },
  mend: async ({ directory, execute }) => {
    await mkdir(wormOf(directory));
    await execute(loseLease);
  },
};

const overdue: Scenario = {
  cause: 'statements of coverage that are always three days old, by a trigger',
  alerts: { OrgtrailEvidenceCoverageOverdue: /has not stated in time: \d\.$/ },
  provoke: async ({ execute }) => {
    await execute(`create function make_old() returns trigger language plpgsql as
      $$ begin new.stated_at := clock_timestamp() - interval '3 days'; return new; end $$`);
    await execute(
      `create trigger old before insert or update on evidence_coverage for each row execute function make_old()`,
    );
    await execute(`update evidence_coverage set stated_at = stated_at`);
  },
  mend: ({ execute }) => execute('drop trigger old on evidence_coverage'),
};

const noRights: Scenario = {
  cause: 'the account of the daemon loses the role orgtrail_evidence',
  alerts: { OrgtrailEvidenceLagging: /lags: \d+ events wait for their leaves\.$/ },
  provoke: ({ execute, account }) => execute(`revoke orgtrail_evidence from ${account}`),
};

/** Begins with a log that is not built, so that there is an event that has no leaf yet. */
const hole: Scenario = {
  cause: 'an event is deleted before it is hashed',
  alerts: { OrgtrailEvidenceHalted: /is halted; nothing is signed\.$/ },
  also: ofTheRestore,
  provoke: async ({ execute, account }) => {
    await execute(
      `delete from audit_events where position = (select size + 1 from evidence_logs where name = 'events')`,
    );
    await execute(`grant orgtrail_evidence to ${account}`);
  },
};

const inTrouble: WorldScenarios = {
  healthyFirst: true,
  plan: withAnchor('evidence'),
  scenarios: [anchorGone, overdue, noRights, hole],
};

const unanchored: WorldScenarios = {
  healthyFirst: false,
  plan: {
    name: 'unanchored',
    replicas: 1,
    simulator: { organizations: 1, entries: 50 },
    evidence: () => ({ ORGTRAIL_EVIDENCE_ANCHORS: 'tsa:http://127.0.0.1:9' }),
  },
  scenarios: [
    {
      cause: 'the only anchor is a time-stamping authority that has never answered',
      alerts: {
        OrgtrailEvidenceUnanchored: /No anchor has a checkpoint/,
        OrgtrailEvidenceAnchorOld: /^The anchor (tsa|file):.* no new checkpoint of the evidence for /,
      },
      provoke: () => {},
    },
  ],
};

const behind: WorldScenarios = {
  healthyFirst: false,
  plan: withAnchor('behind'),
  scenarios: [
    {
      cause: 'the database goes back by some events and all that was signed since',
      alerts: { OrgtrailEvidenceBehind: /is behind a checkpoint that was signed/ },
      also: ofTheRestore,
      provoke: async (world) => {
        await untilSigned(world);
        const rewind = await world.rememberForRewind();
        const events = await world.stored();
        while ((await world.stored()) < events + 4) await sleep(100);
        await untilSigned(world);
        await rewind();
      },
    },
  ],
};

const forked: WorldScenarios = {
  healthyFirst: false,
  plan: withAnchor('forked'),
  scenarios: [
    {
      cause: 'another server took over, and the process that builds had lost its lease',
      alerts: { OrgtrailEvidenceForked: /is forked; nothing is signed any more\.$/ },
      also: ofTheRestore,
      provoke: async (world) => {
        await untilSigned(world);
        await world.execute(`${loseLease}, timeline = 'that of another server'`);
      },
    },
  ],
};

const unbegun: WorldScenarios = {
  healthyFirst: false,
  plan: {
    name: 'unbegun',
    replicas: 1,
    simulator: { organizations: 1, entries: 50 },
    evidence: () => ({ ORGTRAIL_EVIDENCE_KEY_FILE: '' }),
  },
  scenarios: [
    {
      cause: 'no process has the key',
      alerts: { OrgtrailEvidenceUnbegun: /no checkpoint of it was ever signed\.$/ },
      provoke: () => {},
    },
  ],
};

const keyPending: WorldScenarios = {
  healthyFirst: false,
  plan: withAnchor('key-pending'),
  scenarios: [
    {
      cause: 'a key is ordered that no process has',
      alerts: { OrgtrailEvidenceKeyPending: /^Another key .* and no process signs with it\.$/ },
      // A busy machine does not state coverage as often as the shortened rules ask for.
      also: ['OrgtrailEvidenceCoverageOverdue'],
      provoke: async (world) => {
        await untilSigned(world);
        const rows = await world.query('select origin from evidence_logs order by name');
        const origins = (rows as { origin: string }[]).map(({ origin }) => origin);
        const vkeys = vkeysOf(origins, newSigner()).map((vkey) => `'${vkey}'`);
        await world.execute(
          `select orgtrail_order_evidence_key(1, 'rotation', array[${vkeys}], 604800000, 'an operator')`,
        );
      },
    },
  ],
};

/** What goes wrong with the signed log, as the schedule has it. */
export const evidenceWorlds: readonly (readonly WorldScenarios[])[] = [
  [unanchored, behind, forked, unbegun, keyPending],
  [inTrouble],
];
