import type { Writable } from 'node:stream';

/** What a verb sees of the process. Built by main.ts, the only file that touches `process`; by tests, too. */
export interface VerbContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** True when stdout is a terminal: progress is drawn there, plain lines elsewhere. */
  readonly interactive: boolean;
  /** Aborts on the first SIGINT or SIGTERM. (The second one ends the process at once, without asking anybody.) */
  readonly signal: AbortSignal;
  /** Registers what SIGHUP asks for. Without it SIGHUP ends the process, as when its terminal is closed. */
  readonly onReloadAsked?: ((listener: () => void) => void) | undefined;
}
