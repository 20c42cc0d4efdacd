import type { FeedEvent } from '../../../src/formats/format.ts';
import type { OutgoingEvent } from '../../../src/sinks/delivery.ts';
import { outgoing } from './outgoing-events.ts';

export interface OutgoingOptions {
  readonly firstPosition?: number;
  readonly organizationName?: string;
  /** Of the text of each, in characters of one byte: more where that is too few. */
  readonly textLength?: number;
}

/** So many events of one organization, in order of position, each with its own id. */
export const outgoingEvents = (count: number, options: OutgoingOptions = {}): OutgoingEvent[] => {
  const { firstPosition = 1, organizationName = 'Acme', textLength = 1_000 } = options;
  const organizationId = '019c4f65e7607d8c9f6f6b58aa3aff50';
  return Array.from({ length: count }, (_, index) => {
    const id = `id-${firstPosition + index}`;
    const entry = (padding: string) =>
      JSON.stringify({ id, action: { type: 'update', result: 'success', time: '2026-11-05T10:00:00Z' }, padding });
    const event = (padding: string): FeedEvent => ({
      position: firstPosition + index,
      feedId: '0f8fad5b-d9cb-469f-a165-70867728950e',
      sourceKind: 'organization',
      sourceId: organizationId,
      organizationId,
      organizationName,
      accountId: null,
      accountName: null,
      zoneId: null,
      zoneName: null,
      id,
      actionTime: '2026-11-05T10:00:00Z',
      receivedAt: '2026-11-05T10:00:30.123456Z',
      rawText: entry(padding),
      defects: null,
    });
    const shortest = outgoing(event('')).text.length;
    return outgoing(event('x'.repeat(Math.max(0, textLength - shortest))));
  });
};
