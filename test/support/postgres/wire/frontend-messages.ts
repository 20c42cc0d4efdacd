/** A message of a PostgreSQL client, whole. The first of a connection has no type. */
interface FrontendMessage {
  readonly type: string;
  readonly bytes: Buffer;
}

/** Takes what a client sends apart into messages. */
export class FrontendMessages {
  #rest = Buffer.alloc(0);
  #started = false;

  /** The messages that are complete with this data. */
  read(data: Buffer): FrontendMessage[] {
    this.#rest = Buffer.concat([this.#rest, data]);
    const messages: FrontendMessage[] = [];
    for (;;) {
      const typeLength = this.#started ? 1 : 0;
      if (this.#rest.length < typeLength + 4) return messages;
      const length = typeLength + this.#rest.readUInt32BE(typeLength);
      if (this.#rest.length < length) return messages;
      const bytes = this.#rest.subarray(0, length);
      messages.push({ type: this.#started ? String.fromCharCode(bytes[0] ?? 0) : '', bytes });
      this.#rest = this.#rest.subarray(length);
      this.#started = true;
    }
  }
}
