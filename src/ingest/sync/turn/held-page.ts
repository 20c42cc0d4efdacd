import type { Page } from '../../entries/page.ts';
import type { LaneState } from '../../planning/lane.ts';
import { commitPart, noteSize } from './page-exchange.ts';
import type { Turn } from './turn-state.ts';

/** Entries of history are visible later by so much at most. */
const HELD_MS = 1_000;

/** The only page of a walk, which is committed together with its proof if that comes soon, and else by itself. */
export interface HeldPage {
  readonly page: Page;
  /** Whether it is being committed by itself, or has been. */
  readonly isStored: boolean;
  /** Commits it by itself, unless that has been done. Throws as `commitPart`. */
  store(): Promise<void>;
  /** Resolves with an answer. The page is committed by itself if it has been held for too long by then. */
  during<T>(answer: Promise<T>): Promise<T>;
}

/**
 * Holds a page back until what it proves is known: nothing is claimed before it is stored, so a process that dies meanwhile only asks for it
 * again. `state`: of its lane, should it be committed by itself. `heldMs`: for how long at most.
 */
export const holdPage = (turn: Turn, page: Page, state: LaneState, heldMs = HELD_MS): HeldPage => {
  const { time } = turn.context;
  const beganMs = time.nowMs();
  let stored: Promise<void> | undefined;
  const store = (): Promise<void> => {
    stored ??= commitPart(turn, page, state).then(() => {});
    return stored;
  };
  noteSize(turn, page);
  return {
    page,
    get isStored() {
      return stored !== undefined;
    },
    store,
    during: async (answer) => {
      const answered = new AbortController();
      const late = time.sleep(Math.max(0, beganMs + heldMs - time.nowMs()), answered.signal);
      // That it fails shows below.
      late.then(store).catch(() => {});
      try {
        return await answer;
      } finally {
        answered.abort();
        await stored;
      }
    },
  };
};
