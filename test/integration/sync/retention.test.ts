import { expect, test } from 'vitest';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

test('unread time that nears the end of the retention: each plan says so, status and sync show it', async () => {
  await using world = await openWorld({ organizations: 2 }, { ORGTRAIL_HISTORY: '540d' });
  const [refused = ''] = world.simulator.summary().organizations.map(({ id }) => id);
  world.simulator.setRefused(refused, true);
  const near = new Map<string, number>();
  await using run = await world.open(
    {},
    {
      jobsPlanned: ({ nearRetention }) => {
        near.clear();
        for (const { source, slackMs } of nearRetention) near.set(source.id, slackMs);
      },
    },
  );
  await run.cycle();
  expect([...near.values()].map((slackMs) => slackMs / dayMs)).toEqual([expect.closeTo(8, 3), expect.closeTo(8, 3)]);
  await run.cycle();
  expect([...near.keys()], 'the other one has been read').toEqual([refused]);

  const status = await runInProcess(['status'], world.env);
  expect(status.stdout).toMatch(new RegExp(`^${refused} .* 540d( \\S+)? \\(lost in (8d|7d 23h)\\)`, 'm'));
  expect(status.stdout.match(/lost in/g), status.stdout).toHaveLength(1);
  const sync = await runInProcess(['sync'], world.env);
  expect(sync.code).toBe(1);
  expect(sync.stdout).toContain('1 organization with time not collected that Cloudflare deletes within 30d');
});

const dayMs = 86_400_000;
