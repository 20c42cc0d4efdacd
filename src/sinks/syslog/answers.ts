import { reasonOf } from '../../errors.ts';
import { cut, oneLine } from '../../formats/plain-text.ts';
import { formatDuration } from '../../time/duration.ts';
import type { DeliveryOutcome } from '../delivery.ts';

// Syslog has no answers: what a receiver says is how its connection ends (syslog-connection.ts).

const REASON_LENGTH = 500;

/** The receiver took longer than it may. */
export const tooLate = (timeoutMs: number, isConnected: boolean): Error =>
  new Error(
    isConnected
      ? `the receiver has not read everything and closed within ${formatDuration(timeoutMs)}`
      : `no connection within ${formatDuration(timeoutMs)}`,
  );

/** A certificate that is refused is part of the reason: whatever it says, it stays on one line. */
export const failed = (error: unknown): DeliveryOutcome & { readonly kind: 'failed' } => ({
  kind: 'failed',
  reason: cut(oneLine(reasonOf(error)), REASON_LENGTH),
});
