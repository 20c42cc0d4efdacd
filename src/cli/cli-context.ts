import type { Readable, Writable } from 'node:stream';

/** What a command sees of the process. Built by main.ts, the only file that touches `process`; by tests, too. */
export interface CliContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The file that some of `env` is from; undefined if there is none. */
  readonly settingsFile?: string | undefined;
  /** The settings that are from it. */
  readonly namesOfFile?: readonly string[];
  /** For commands that speak a protocol. */
  readonly stdin?: Readable;
  /** `columns`: of a terminal. */
  readonly stdout: Writable & { readonly columns?: number };
  readonly stderr: Writable;
  /** True when stdout is a terminal: progress is drawn there, plain lines elsewhere. */
  readonly interactive: boolean;
  /** Aborts on the first SIGINT or SIGTERM. (A second signal exits immediately.) */
  readonly signal: AbortSignal;
  /**
   * For a command that ends by Ctrl-C in the ordinary course of things: its exit code counts, not that of the signal, and
   * `leaveAtOnce` is run before the second signal ends the process. It must not take long.
   */
  readonly takeOverStop?: (leaveAtOnce: () => Promise<void>) => void;
  /** Registers what SIGHUP asks for. Without it SIGHUP ends the process, as when its terminal is closed. */
  readonly onReloadAsked?: ((listener: () => void) => void) | undefined;
}
