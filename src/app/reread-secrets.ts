import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { createLiveSecrets, type LiveSecrets } from '../config/live-secrets.ts';

/** Secrets are read again this often, for those that nothing refuses: a feed token that was revoked, say. */
const RELOAD_EVERY_MS = 60_000;

/** The secrets of a command that runs for long; the log says when one was renewed. `hidden` is what the log blanks. */
export const openSecrets = (
  env: Readonly<Record<string, string | undefined>>,
  config: Config,
  { logger, hidden }: { readonly logger: Logger; readonly hidden: string[] },
): LiveSecrets =>
  createLiveSecrets(env, config, {
    hidden,
    onChange: (settings) => logger.info({ settings }, 'secrets reloaded from their files'),
    onFault: (reason) => logger.warn({ reason }, 'reloading secrets failed; keeping the current ones'),
  });

/** Reads secrets again now and then until the signal aborts, and whenever the process is asked to (SIGHUP). */
export const keepReloading = (
  secrets: LiveSecrets,
  logger: Logger,
  { signal, onReloadAsked }: { readonly signal: AbortSignal; readonly onReloadAsked?: OnReloadAsked | undefined },
): void => {
  const timer = setInterval(() => secrets.reload(), RELOAD_EVERY_MS);
  timer.unref();
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
  onReloadAsked?.(() => {
    if (!secrets.reload()) logger.info('secrets reload requested: files unchanged');
  });
};

/** Registers what is to be done when the process is asked to read its secrets again. */
export type OnReloadAsked = (listener: () => void) => void;
