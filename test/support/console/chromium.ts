import { type Browser, chromium } from 'playwright-core';
import { words } from '../process/words.ts';

/** Starts the Chromium of CHROMIUM, or Debian's (scripts/install/chromium.sh). It sends no request by itself. */
export const launchChromium = (): Promise<Browser> =>
  chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium-headless-shell',
    args: words(`
      --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
      --disable-component-update --disable-sync`),
    timeout: 90_000,
  });
