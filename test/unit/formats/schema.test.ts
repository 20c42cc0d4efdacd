import { describe, expect, test } from 'vitest';
import { formatEcs } from '../../../src/formats/ecs/ecs.ts';
import type { FeedEvent } from '../../../src/formats/feed-event.ts';
import { formatOcsf } from '../../../src/formats/ocsf/ocsf.ts';
import { ecsFields, ocsfSchema } from '../../support/formats/schema-facts.ts';
import { EcsValidator } from './ecs-validator.ts';
import { OcsfValidator } from './ocsf-validator.ts';
import { sampleEvents } from './sample-events.ts';
import { seed, simulatedEvents } from './simulated-events.ts';

interface Failing {
  readonly position: number;
  readonly faults: readonly string[];
  readonly line: string;
}

/** The first events that are not valid, with what is wrong: all of 10,000 would hide it. */
const failing = (
  events: readonly FeedEvent[],
  format: (event: FeedEvent) => string,
  validate: (value: Record<string, unknown>) => readonly string[],
): Failing[] =>
  events
    .map((event) => ({ event, line: format(event) }))
    .map(({ event, line }) => ({
      position: event.position,
      faults: validate(JSON.parse(line)),
      line: line.slice(0, 2000),
    }))
    .filter(({ faults }) => faults.length > 0)
    .slice(0, 3);

// Seconds on a free machine; several test files may share it.
describe('the official schemas', { timeout: 60_000 }, () => {
  const events = [...sampleEvents, ...simulatedEvents(10_000)];

  test('the simulated entries have all kinds of defects', () => {
    expect(events.length).toBeGreaterThanOrEqual(10_000);
    // Of an invalid byte or a refusal by the database, an entry's text knows nothing.
    expect([...new Set(events.flatMap(({ defects }) => defects ?? []))].sort()).toEqual([
      'id_missing',
      'id_too_long',
      'id_unusable',
      'lone_surrogate',
      'nested_too_deeply',
      'not_an_object',
      'nul_character',
      'number_out_of_range',
      'time_missing',
      'time_unreadable',
    ]);
  });

  test(`every OCSF event of 10,000 is valid, and they are of all kinds (seed ${seed})`, () => {
    const validator = new OcsfValidator(ocsfSchema);
    const kinds = new Set<unknown>();
    const validate = (value: Record<string, unknown>) => {
      kinds.add(value['type_uid']);
      return validator.validate(value);
    };
    expect(failing(events, formatOcsf, validate)).toEqual([]);
    expect([...kinds].sort()).toEqual([
      300101, 300106, 300199, 300401, 300402, 300403, 300404, 600300, 600301, 600302, 600303, 600304, 600399,
    ]);
  });

  test(`every ECS document of 10,000 is valid (seed ${seed})`, () => {
    const validator = new EcsValidator(ecsFields);
    expect(failing(events, formatEcs, (value) => validator.validate(value))).toEqual([]);
  });
});
