import { mkdirSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
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
  const isSigned = 'select from evidence_log l, feed_head h where h.position > 0 and l.signed_position = h.position';
  while ((await query(isSigned)).length === 0) await sleep(100);
};

/** As if the process that builds had lost its lease: it claims it again, and compares with everything that it can read. */
const loseLease = `update evidence_log set lease_epoch = lease_epoch + 1, lease_until = null`;

const orderKey = (world: AlertWorld, reason: 'rotation' | 'compromised'): Promise<void> => {
  const key = newSigner().publicKey.toString('hex');
  return world.execute(`select orgtrail_order_evidence_key('${reason}', '\\x${key}', 604800000, 'an operator')`);
};

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

/** Begins with a log that is not built. */
const forgedDrop: Scenario = {
  cause: 'an event of this month is deleted by hand, behind a forged drop',
  alerts: { OrgtrailEvidenceHalted: /is halted; nothing is signed\.$/ },
  also: ofTheRestore,
  provoke: async ({ execute, account }) => {
    await execute(`insert into retention_drops (partition, month, events, changes, first_position, last_position, bytes, retention, positions)
      values ('x', date_trunc('month', now()), 1, 0, 1, 1, 1, '30 days', '{[1,2)}')`);
    await execute('delete from audit_events where position = 1');
    await execute(`grant orgtrail_evidence to ${account}`);
  },
};

const inTrouble: WorldScenarios = {
  healthyFirst: true,
  plan: withAnchor('evidence'),
  scenarios: [anchorGone, overdue, noRights, forgedDrop],
};

const unanchored: WorldScenarios = {
  healthyFirst: false,
  plan: {
    name: 'unanchored',
    replicas: 1,
    simulator: { organizations: 1, entries: 50 },
    evidence: (directory) => ({ ORGTRAIL_EVIDENCE_ANCHORS: `file:${join(directory, 'missing')}` }),
  },
  scenarios: [
    {
      cause: 'the only anchor is a directory that does not exist',
      alerts: {
        OrgtrailEvidenceUnanchored: /No anchor has a checkpoint/,
        OrgtrailEvidenceAnchorOld: /^The anchor file:.* no new checkpoint of the evidence for /,
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

const changed: WorldScenarios = {
  healthyFirst: false,
  plan: withAnchor('changed'),
  scenarios: [
    {
      cause: 'the content of an event that is signed is changed by hand, a week before its part is compared again',
      alerts: { OrgtrailEvidenceFaults: /^What is stored is not what was signed: \d+ faults\.$/ },
      also: ['OrgtrailEvidenceHalted'],
      provoke: async (world) => {
        const isVerified = 'select from evidence_verified where block = 0';
        while ((await world.query(isVerified)).length === 0) await sleep(100);
        await world.execute(
          `update audit_events set raw = (left(raw::text, -1) || ', "changed": 1}')::json where position = 1`,
        );
        await world.execute(`update evidence_verified set at = at - interval '8 days'`);
      },
    },
  ],
};

const keyless: WorldScenarios = {
  healthyFirst: false,
  plan: withAnchor('keyless'),
  scenarios: [
    {
      cause: 'another key was ordered, since the one before is known to others, and no process has it',
      alerts: { OrgtrailEvidenceKeyless: /^No process has the key .* nothing is signed\.$/ },
      provoke: async (world) => {
        await untilSigned(world);
        await orderKey(world, 'compromised');
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
        await orderKey(world, 'rotation');
      },
    },
  ],
};

/** What goes wrong with the signed log, as the schedule has it. */
export const evidenceWorlds: readonly (readonly WorldScenarios[])[] = [
  [unanchored, behind, changed, keyless, unbegun, keyPending],
  [inTrouble],
];
