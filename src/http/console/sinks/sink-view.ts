import type { DeadLetterPage } from '../../../sinks/dead-letter-page.sql.ts';
import type { ShownSink } from '../operations/operations-source.ts';

/** What the page of one sink is made from. */
export interface SinkView {
  readonly sink: ShownSink;
  readonly page: DeadLetterPage;
  /** The page of dead letters begins below this position. */
  readonly before: number | undefined;
  readonly nowMs: number;
}
