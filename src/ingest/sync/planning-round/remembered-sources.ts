import type { Time } from '../../../time/clock.ts';
import { keyOf } from '../../planning/source.ts';
import type { SyncStore } from '../ports.ts';
import type { SourceSurvey } from './planned-source.ts';
import { RememberedSource } from './remembered-source.ts';

export interface RememberOptions {
  /** Cloudflare's time, by which coverage may claim nothing of the future. */
  readonly nowMs: number;
  /** Of pass 0, 1, …: how long before now each may claim. */
  readonly delaysMs: readonly number[];
  readonly tickMs: number;
  /** Nothing more is loaded after so long. What is left comes with a later plan. */
  readonly loadingMs: number;
  readonly time: Pick<Time, 'nowMs'>;
}

type Loads = Pick<SyncStore, 'surveySources' | 'loadSourcesOf'>;

/** In one statement: their rows are all in memory at once. Each plan loads so many, however long that takes. */
const LOADED_AT_ONCE = 1_000;
/** Whatever a version says, nothing is remembered for much longer. */
const REMEMBERED_MS = 3_600_000;

/**
 * The sources as this process has loaded them, each until its version changes. What has changed, or was never loaded, is loaded in the order
 * in which that was seen, so many for each plan: it may come later, and is never left out. Kept by the daemon from plan to plan.
 */
export class RememberedSources {
  readonly #sources = new Map<string, RememberedSource>();
  /** What is to be loaded, the longest waiting first. */
  readonly #waiting = new Set<RememberedSource>();
  /** What was loaded, the longest ago first. */
  readonly #loaded = new Set<RememberedSource>();
  #round = 0;

  /** How many there were at the last plan; 0 before the first. */
  get size(): number {
    return this.#sources.size;
  }

  /** Looks at all sources and loads what has changed. All of them, in the order of a plan; `onSurvey` is called for each. */
  async refresh(
    store: Loads,
    options: RememberOptions,
    onSurvey: (survey: SourceSurvey) => void,
  ): Promise<readonly RememberedSource[]> {
    const sources = await this.#survey(store, onSurvey);
    for (const source of sources) {
      if (source.mustBeLoaded) this.#waiting.add(source);
      else this.#waiting.delete(source);
    }
    const again = Math.ceil((sources.length * options.tickMs) / REMEMBERED_MS);
    const all = [...this.#waiting, ...this.#oldest(again)];
    const versions = new Map(all.map((source) => [source, source.version]));
    const { time, loadingMs } = options;
    const startedMs = time.nowMs();
    for (let at = 0; at < all.length; at += LOADED_AT_ONCE) {
      if (at > 0 && time.nowMs() - startedMs >= loadingMs) break;
      await this.#load(store, all.slice(at, at + LOADED_AT_ONCE), versions, options);
    }
    return sources;
  }

  async #survey(store: Loads, onSurvey: (survey: SourceSurvey) => void): Promise<readonly RememberedSource[]> {
    this.#round += 1;
    const round = this.#round;
    const sources: RememberedSource[] = [];
    await store.surveySources((survey) => {
      const key = keyOf(survey);
      let source = this.#sources.get(key);
      if (source === undefined) {
        source = new RememberedSource(survey);
        this.#sources.set(key, source);
      }
      source.survey(survey, round);
      sources.push(source);
      onSurvey(survey);
    });
    if (sources.length < this.#sources.size) this.#forgetThoseBefore(round);
    return sources;
  }

  #forgetThoseBefore(round: number): void {
    for (const [key, source] of this.#sources) {
      if (source.round >= round) continue;
      this.#sources.delete(key);
      this.#loaded.delete(source);
      this.#waiting.delete(source);
    }
  }

  /** So many of those that were loaded longest ago and have not changed. */
  #oldest(most: number): readonly RememberedSource[] {
    const oldest: RememberedSource[] = [];
    for (const source of this.#loaded) {
      if (oldest.length >= most) break;
      if (!this.#waiting.has(source)) oldest.push(source);
    }
    return oldest;
  }

  async #load(
    store: Loads,
    part: readonly RememberedSource[],
    versions: ReadonlyMap<RememberedSource, string>,
    { nowMs, delaysMs }: RememberOptions,
  ): Promise<void> {
    for (const state of await store.loadSourcesOf(part)) {
      const source = this.#sources.get(keyOf(state));
      const version = source && versions.get(source);
      if (source === undefined || version === undefined) continue;
      source.load(state, version, nowMs, delaysMs);
      this.#waiting.delete(source);
      this.#loaded.delete(source);
      this.#loaded.add(source);
    }
  }
}
