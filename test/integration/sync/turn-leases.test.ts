import { describe, expect, test, vi } from 'vitest';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

describe.concurrent('the lease of a turn', () => {
  test('goes back with its last commit: no statement is sent for it, and no source stays held', async () => {
    await using world = await openWorld();
    await using run = await world.open();
    const release = vi.spyOn(run.app.sync.store, 'release');
    const claim = vi.spyOn(run.app.sync.store, 'claim');
    expect(await run.sync()).toMatchObject({ failed: [], held: [], finished: true });
    expect(claim.mock.calls.length).toBeGreaterThan(3);
    expect(release).not.toHaveBeenCalled();
    expect(await heldSources(world)).toBe(0);
    await world.expectExactTruth();
  });

  test('goes back by a statement if the last commit fails; what was committed before stays', async () => {
    await using world = await openWorld({ organizations: 1 });
    await using run = await world.open();
    const { store } = run.app.sync;
    const release = vi.spyOn(store, 'release');
    const real = store.commit;
    const commit = vi.spyOn(store, 'commit').mockImplementation(async (given) => {
      if (given.endsTurn === true) throw new Error('the connection is broken');
      return await real(given);
    });
    await expect(run.sync()).rejects.toThrow('the connection is broken');
    expect(release).toHaveBeenCalled();
    expect(await heldSources(world)).toBe(0);
    commit.mockRestore();
    expect(await run.sync()).toMatchObject({ failed: [], finished: true });
    await world.expectExactTruth();
  });

  test('goes back by a statement if a page is asked for without an answer', async () => {
    await using world = await openWorld({ organizations: 1 });
    await using run = await world.open();
    const release = vi.spyOn(run.app.sync.store, 'release');
    world.simulator.faults.set({ refused: { count: 1_000 } });
    await run.cycle();
    expect(release).toHaveBeenCalled();
    expect(await heldSources(world)).toBe(0);
  });

  test('lost to another process before its last commit: that one is fenced, and leaves the lease to it', async () => {
    await using world = await openWorld({ organizations: 1 });
    await using run = await world.open();
    const { store } = run.app.sync;
    const real = store.commit;
    let stolen = 0;
    vi.spyOn(store, 'commit').mockImplementation(async (given) => {
      if (given.endsTurn === true && stolen++ === 0) {
        await world.database.pool.query(
          "update sources set lease_owner = 'other/1/thief', lease_epoch = lease_epoch + 1, lease_until = clock_timestamp() + interval '30 minutes'",
        );
      }
      return await real(given);
    });
    const { held } = await run.sync({ retries: 0 });
    expect(held).toHaveLength(1);
    const { rows } = await world.database.pool.query(
      'select lease_owner, lease_until > clock_timestamp() as held from sources',
    );
    expect(rows).toEqual([{ lease_owner: 'other/1/thief', held: true }]);
  });
});

const heldSources = async (world: SyncWorld): Promise<number> => {
  const { rows } = await world.database.pool.query<{ held: number }>(
    'select count(*)::integer as held from sources where lease_until is not null',
  );
  return rows[0]?.held ?? 0;
};
