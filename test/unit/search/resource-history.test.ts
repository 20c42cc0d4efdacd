import { expect, test } from 'vitest';
import { type HistoryEvent, historySteps } from '../../../src/search/entities.ts';

test('the state before a change is the last response for a response, and the last request for a request', () => {
  const steps = compared(
    event(1, { request: '{"r":1}', response: '{"s":1}' }),
    event(2, { request: '{"r":2}' }),
    event(3, { response: '{"s":3}' }),
    event(4, { request: '{"r":4}', response: '{"s":4}' }),
  );
  // biome-ignore format: a table
  expect(steps).toEqual({
    1: [undefined, '{"s":1}'], 2: ['{"r":1}', '{"r":2}'], 3: ['{"s":1}', '{"s":3}'], 4: ['{"s":3}', '{"s":4}'],
  });
});

test('the state before a change is a request if only requests came before, although there is a response now', () =>
  expect(compared(event(1, { request: '{"r":1}' }), event(2, { request: '{"r":2}', response: '{"s":2}' }))).toEqual({
    1: [undefined, '{"r":1}'],
    2: ['{"r":1}', '{"r":2}'],
  }));

test('the state before a change is never what failed, nor what says nothing', () =>
  expect(
    compared(
      event(1, { response: '{"s":1}' }),
      event(2, { response: '{"s":2}', actionResult: 'failure' }),
      event(3, { response: '{ }', request: 'null' }),
      event(4, { response: '{"s":4}' }),
    ),
  ).toEqual({
    1: [undefined, '{"s":1}'],
    2: ['{"s":1}', '{"s":2}'],
    3: [undefined, undefined],
    4: ['{"s":1}', '{"s":4}'],
  }));

test('the state before a change is unknown for events that may be about other resources', () => {
  const [one, two] = [event(1, { response: '{"s":1}' }), event(2, { response: '{"s":2}' })];
  expect(compared({ ...one, matchedBy: 'type' }, { ...two, matchedBy: 'type' })).toEqual({
    1: [undefined, '{"s":1}'],
    2: [undefined, '{"s":2}'],
  });
});

const event = (position: number, more: Partial<HistoryEvent>): HistoryEvent =>
  ({ position, actionResult: 'success', matchedBy: 'id', request: null, response: null, ...more }) as HistoryEvent;

/** Given oldest first; what each is compared with, by position. */
const compared = (...events: readonly HistoryEvent[]) =>
  Object.fromEntries(
    historySteps(events.toReversed()).map((step) => [step.event.position, [step.before?.text, step.state?.text]]),
  );
