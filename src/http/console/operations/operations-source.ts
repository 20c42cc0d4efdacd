import type { DeadLetterPage } from '../../../sinks/dead-letter-page.sql.ts';
import type { SinkStatus } from '../../../sinks/sink-status.sql.ts';
import type { SinkStream } from '../../../sinks/stream/streams.ts';

/** A sink with what of its settings people ask for. */
export interface ShownSink extends SinkStatus {
  /** Undefined: it is not configured any more, and nothing delivers to it. */
  readonly sends: SinkStream | undefined;
}

/** What the pages of operation are made from. Each rejects if the database does not answer. */
export interface OperationsSource {
  /** All that there have been; those that are configured first. */
  sinks(): Promise<readonly ShownSink[]>;
  deadLetters(
    sink: string,
    page: { readonly before: number | undefined; readonly limit: number },
  ): Promise<DeadLetterPage>;
}
