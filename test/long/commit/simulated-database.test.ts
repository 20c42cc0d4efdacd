import { expect, test } from 'vitest';
import type { SourceState } from '../../../src/ingest/planning/source.ts';
import { loadSources } from '../../../src/ingest/sync/store/sources.sql.ts';
import { SimulatedDatabase } from '../../simulation/database/database.ts';
import { Dice } from '../../simulation/dice.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import {
  type BothDatabases,
  drawSteps,
  filterHashes,
  HOUR_MS,
  owners,
  PASS_DELAYS_MS,
} from '../../support/postgres/database-steps.ts';
import { firstValue } from '../../support/postgres/rows.ts';
import { organizationKind, scopeOf } from '../../support/postgres/store-fixture.ts';

const database = databaseOfTests();

test('the model of the database, on which the simulation runs, does what the statements do', async () => {
  const dice = new Dice(SEED);
  const both = await openBoth(dice);
  const { model, startMs, tick } = both;
  const steps = drawSteps(both);
  const met = new Map<string, number>();
  const meet = (outcome: string) => met.set(outcome, (met.get(outcome) ?? 0) + 1);
  let holesBefore: readonly string[] = [];
  let restingBefore = 0;
  for (let step = 0; step < STEPS; step += 1) {
    await tick();
    const [what, real, modelled] = await dice.pick(steps)();
    const where = `seed ${SEED}, step ${step}: ${what}`;
    expect(modelled, where).toEqual(real);
    meet(`${what.split(' of ')[0]}: ${outcomeOf(real)}`);
    for (const change of ['restored', 'moved']) {
      if (what === 'listing' && JSON.stringify(real).includes(change)) meet(change);
    }
    const by = dice.pick(owners);
    let resting = 0;
    const lanesOf = new Map<string, number>();
    for (const hash of filterHashes) {
      const states = await loadSources(database.pool, by, organizationKind(hash), scopeOf());
      const modelledStates = model.loadSources(by, hash, undefined);
      expect(
        modelledStates.map((state) => comparable(state, startMs)),
        where,
      ).toEqual(states.map((state) => comparable(state, startMs)));
      for (const { id, lanes, restMs } of states) {
        resting += Object.values(restMs).filter((ms) => ms > 0).length;
        if (Object.keys(lanes).length > 0) lanesOf.set(id, (lanesOf.get(id) ?? 0) + 1);
      }
    }
    const holes = await storedHoles();
    expect(modelledHoles(model), where).toEqual(holes);
    expect(model.events, where).toEqual(await storedEvents());
    if (holes.length > holesBefore.length) meet('holes appeared');
    if (holes.length < holesBefore.length) meet('holes filled');
    if (what === 'discovery' && resting < restingBefore) meet('rests ended by a listing');
    if ([...lanesOf.values()].includes(filterHashes.length)) meet('lanes under both filter sets');
    holesBefore = holes;
    restingBefore = resting;
  }
  for (const outcome of OUTCOMES) expect(met.get(outcome) ?? 0, outcome).toBeGreaterThan(2);
});

const SEED = 1;
const STEPS = 1_200;

const databaseMs = (): Promise<number> =>
  firstValue<number>(database.pool, 'select floor(extract(epoch from clock_timestamp()) * 1000)::float8 as ms');

/** The model of one database beside it, on the same clock but for the time that a step takes. */
const openBoth = async (dice: Dice): Promise<BothDatabases & { readonly tick: () => Promise<void> }> => {
  const startMs = await databaseMs();
  let clockMs = startMs;
  return {
    pool: database.pool,
    dice,
    startMs,
    model: new SimulatedDatabase(() => clockMs),
    tick: async () => {
      clockMs = Math.max(clockMs + 1, await databaseMs());
    },
  };
};

const outcomeOf = (answer: unknown): string => {
  if (typeof answer !== 'object' || answer === null) return String(answer ?? 'none');
  return 'kind' in answer ? String(answer.kind) : 'given';
};

/** Of a rest, only whether there is one. A bound that was cut at now is within a step's time of it. The model knows no version 0.1. */
const comparable = (state: SourceState, startMs: number): unknown => ({
  ...state,
  unproven: state.unproven ?? [],
  readBefore: state.readBefore ?? [],
  restMs: Object.fromEntries(Object.entries(state.restMs).map(([lane, ms]) => [lane, ms > 0])),
  coverage: withoutEmptyEnd(state.coverage).map((ranges) =>
    ranges.map(({ fromMs, toMs }) => ({ fromMs, to: PASS_DELAYS_MS.find((ms) => toMs >= startMs - ms) ?? toMs })),
  ),
  holes: [...state.holes].sort((a, b) => a.pass - b.pass || a.range.fromMs - b.range.fromMs),
});

const withoutEmptyEnd = (coverage: SourceState['coverage']): SourceState['coverage'] =>
  coverage.slice(0, coverage.findLastIndex((ranges) => ranges.length > 0) + 1);

const storedEvents = async (): Promise<unknown> => {
  const { rows } = await database.pool.query(
    'select position::float8 as position, source_id as "sourceId", id from audit_events order by position',
  );
  return rows;
};

/** All of them, those that are due, too: `source pass since before attempts reason`, and the hours until the next attempt. */
const storedHoles = async (): Promise<readonly string[]> => {
  const { rows } = await database.pool.query<{ hole: string }>(
    `select concat_ws(' ', filter_hash, source_id, pass, extract(epoch from since)::bigint * 1000,
       extract(epoch from before)::bigint * 1000, attempts, reason,
       round(extract(epoch from greatest(interval '0', next_attempt_at - clock_timestamp())) / 3600)) as hole
     from coverage_holes`,
  );
  return rows.map(({ hole }) => hole).sort();
};

const modelledHoles = ({ sources, nowMs }: SimulatedDatabase): readonly string[] =>
  [...sources.values()]
    .flatMap(({ id, filtered }) =>
      [...filtered].flatMap(([hash, { holes }]) =>
        holes.map(({ pass, range, attempts, reason, nextAttemptAtMs }) => {
          const hours = Math.round(Math.max(0, nextAttemptAtMs - nowMs()) / HOUR_MS);
          return [hash, id, pass, range.fromMs, range.toMs, attempts, reason, hours].join(' ');
        }),
      ),
    )
    .sort();

/** What must have happened, or the steps were too few to say anything. */
const OUTCOMES = [
  'commit: fenced',
  'commit: committed',
  'claim: none',
  'claim: given',
  'claim discovery: false',
  'log answer: open',
  'log answer: refused',
  'log answer: gone',
  'log answer: none',
  'missed: given',
  'restored',
  'moved',
  'renew: false',
  'renew: true',
  'trim: 0',
  'trim: 1',
  'holes appeared',
  'holes filled',
  'rests ended by a listing',
  'lanes under both filter sets',
];
