/** A row that a consumer of pgoutput, such as Debezium, is told of; null where a value is null or not sent. */
export interface PgoutputChange {
  readonly kind: 'insert' | 'update' | 'delete' | 'truncate';
  /** The table by the name that the publication gives it. */
  readonly table: string;
  readonly values: Readonly<Record<string, string | null>>;
}

interface Relation {
  readonly table: string;
  readonly columns: readonly string[];
}

const kinds = { I: 'insert', U: 'update', D: 'delete', T: 'truncate' } as const;

/** Reads messages of the logical replication protocol, version 1. Of updates, deletes and truncates only that they came. */
export const decodePgoutput = (messages: readonly Buffer[]): readonly PgoutputChange[] => {
  const relations = new Map<number, Relation>();
  const changes: PgoutputChange[] = [];
  for (const message of messages) {
    const reader = new MessageReader(message);
    const type = reader.character();
    if (type === 'R') relations.set(reader.int32(), readRelation(reader));
    if (type !== 'I' && type !== 'U' && type !== 'D' && type !== 'T') continue;
    const relation = relations.get(reader.int32()) ?? { table: 'unknown', columns: [] };
    const values = type === 'I' ? readTuple(reader, relation.columns) : {};
    changes.push({ kind: kinds[type], table: relation.table, values });
  }
  return changes;
};

const readRelation = (reader: MessageReader): Relation => {
  reader.string();
  const table = reader.string();
  reader.character();
  const columns = Array.from({ length: reader.int16() }, () => {
    reader.character();
    const name = reader.string();
    reader.int32();
    reader.int32();
    return name;
  });
  return { table, columns };
};

const readTuple = (reader: MessageReader, columns: readonly string[]): Record<string, string | null> => {
  reader.character();
  reader.int16();
  return Object.fromEntries(
    columns.map((column) => [column, reader.character() === 't' ? reader.text(reader.int32()) : null]),
  );
};

class MessageReader {
  readonly #message: Buffer;
  #offset = 0;

  constructor(message: Buffer) {
    this.#message = message;
  }

  character(): string {
    return this.text(1);
  }

  int16(): number {
    this.#offset += 2;
    return this.#message.readInt16BE(this.#offset - 2);
  }

  int32(): number {
    this.#offset += 4;
    return this.#message.readInt32BE(this.#offset - 4);
  }

  /** Up to the NUL that ends it. */
  string(): string {
    const text = this.text(this.#message.indexOf(0, this.#offset) - this.#offset);
    this.#offset += 1;
    return text;
  }

  text(bytes: number): string {
    this.#offset += bytes;
    return this.#message.toString('utf8', this.#offset - bytes, this.#offset);
  }
}
