import type { FeedEvent } from '../formats/feed-event.ts';
import type { BinaryRow } from '../postgres/copy-out.ts';
import { eventOf, type FeedContext } from './feed-row.ts';

/** Writes rows in a format that is made in JavaScript, one line each. The counterpart of NativeLines. */
export class FormattedLines {
  private readonly context: FeedContext;
  private readonly format: (event: FeedEvent) => string;
  private memory: Buffer = Buffer.alloc(0);
  private end = 0;

  constructor(context: FeedContext, format: (event: FeedEvent) => string) {
    this.context = context;
    this.format = format;
  }

  writeInto(memory: Buffer): void {
    this.memory = memory;
    this.end = 0;
  }

  /** Appends the line of a row. 0, or how many bytes it takes, if there is no room: then nothing is written. */
  add(row: BinaryRow): number {
    const line = `${this.format(eventOf(row, this.context))}\n`;
    const room = this.memory.length - this.end;
    // A UTF-16 unit is at most three bytes: counting them costs as much as writing them.
    if (3 * line.length > room) {
      const bytes = Buffer.byteLength(line);
      if (bytes > room) return bytes;
    }
    this.end += this.memory.write(line, this.end, 'utf8');
    return 0;
  }

  written(): Buffer {
    return this.memory.subarray(0, this.end);
  }
}
