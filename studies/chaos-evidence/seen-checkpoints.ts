import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pool } from 'pg';
import { pause } from '../chaos/pause.ts';

/** A checkpoint that was visible outside of the process that made it, wherever. */
export interface SeenCheckpoint {
  readonly origin: string;
  readonly size: number;
  /** In base64. */
  readonly root: string;
  /** With signatures; undefined if only a line of a log has shown it. */
  note: string | undefined;
  readonly ways: Set<Way>;
}

type Way = 'table' | 'anchor' | 'log';

const LOOK_EVERY_MS = 150;

export interface Sights {
  readonly pool: Pool;
  /** The directory that is an anchor. */
  readonly anchor: string;
  readonly logFiles: readonly string[];
}

/** Collects every checkpoint that anything outside can see, while processes and servers come and go. */
export class SeenCheckpoints {
  readonly #sights: Sights;
  readonly #seen = new Map<string, SeenCheckpoint>();
  readonly #ended: Promise<void>;
  readonly #end = new AbortController();

  constructor(sights: Sights) {
    this.#sights = sights;
    this.#ended = Promise.all([
      this.#again(() => this.lookInTable(sights.pool)),
      this.#again(() => this.#lookAtAnchor()),
    ]).then(() => {});
  }

  get all(): readonly SeenCheckpoint[] {
    return [...this.#seen.values()];
  }

  /** The newest one of a log that carries a signature; 0 if there is none. */
  largestOf(number: number): number {
    const sizes = this.all
      .filter(({ origin, note }) => note !== undefined && origin.endsWith(`.${number}`))
      .map(({ size }) => size);
    return Math.max(0, ...sizes);
  }

  /** Writes the signed ones of a log into files of a folder; returns their names. */
  async writeNotes(folder: string, number: number): Promise<readonly string[]> {
    const ofLog = this.all.filter(({ origin }) => origin.endsWith(`.${number}`));
    const notes = ofLog.flatMap(({ note }) => note ?? []);
    return await Promise.all(
      notes.map(async (note, index) => {
        const file = join(folder, `kept-${number}-${index}`);
        await writeFile(file, note);
        return file;
      }),
    );
  }

  async stop(): Promise<void> {
    this.#end.abort();
    await this.#ended;
  }

  /** Looks once more at everything that stays, and ends. */
  async finish(): Promise<void> {
    await this.stop();
    await this.#lookAtAnchor();
    await this.#readLogs();
    await this.lookInTable(this.#sights.pool);
  }

  /** What a server has that may be another one than the replicas talk to. */
  async lookInTable(pool: Pool): Promise<void> {
    const { rows } = await pool.query<{ note: string }>('select note from evidence_checkpoints');
    for (const { note } of rows) this.#add(note, 'table');
  }

  async #again(look: () => Promise<void>): Promise<void> {
    while (!this.#end.signal.aborted) {
      // What is being killed does not answer.
      await look().catch(() => {});
      await pause(LOOK_EVERY_MS, this.#end.signal);
    }
  }

  async #lookAtAnchor(): Promise<void> {
    const entries = await readdir(this.#sights.anchor, { recursive: true, withFileTypes: true });
    for (const entry of entries) {
      // What is being written has another name, and is not there to be read.
      if (!entry.isFile() || !entry.parentPath.endsWith('/checkpoints') || !/^\d{20}$/.test(entry.name)) continue;
      this.#add(await readFile(join(entry.parentPath, entry.name), 'utf8'), 'anchor');
    }
  }

  async #readLogs(): Promise<void> {
    for (const file of this.#sights.logFiles) {
      for (const line of (await readFile(file, 'utf8').catch(() => '')).split('\n')) {
        if (!line.includes('"msg":"evidence checkpoint"')) continue;
        const { origin, size, root } = JSON.parse(line) as SeenCheckpoint;
        this.#put(origin, size, root, 'log', undefined);
      }
    }
  }

  #add(note: string, way: Way): void {
    const [origin = '', size = '', root = ''] = note.split('\n');
    this.#put(origin, Number(size), root, way, note);
  }

  #put(origin: string, size: number, root: string, way: Way, note: string | undefined): void {
    const key = `${origin} ${size} ${root}`;
    const seen = this.#seen.get(key) ?? { origin, size, root, note, ways: new Set<Way>() };
    seen.note ??= note;
    seen.ways.add(way);
    this.#seen.set(key, seen);
  }
}
