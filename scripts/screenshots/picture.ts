import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import type { Daemon } from '../../src/app/start-daemon.ts';
import type { Simulator } from '../../src/simulator/interface.ts';
import { launchChromium } from '../../test/support/console/chromium.ts';
import { smallPng } from './small-png.ts';

/** What the pictures of a kind are taken of. */
export interface World {
  readonly simulator: Simulator;
  readonly daemon: Daemon;
}

export interface Picture {
  readonly name: string;
  readonly path: (world: World) => string | Promise<string>;
  /** Of the picture, in pixels; 800 without it. */
  readonly height?: number;
  /** Of the guides, which show no dark ones. */
  readonly lightOnly?: boolean;
  /** What to do on the page before the picture is taken. */
  readonly prepare?: (page: Page, world: World) => Promise<void>;
}

const images = fileURLToPath(new URL('../../docs/images/', import.meta.url));

/** Writes docs/images/NAME-{light,dark}.png. */
export const takePictures = async (world: World, pictures: readonly Picture[]): Promise<void> => {
  const browser = await launchChromium();
  try {
    for (const colorScheme of ['light', 'dark'] as const) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme });
      for (const { name, path, prepare, height = 800, lightOnly = false } of pictures) {
        if (lightOnly && colorScheme === 'dark') continue;
        const page = await context.newPage();
        await page.setViewportSize({ width: 1280, height });
        await page.goto(`${world.daemon.httpUrl}${await path(world)}`);
        await prepare?.(page, world);
        const file = join(images, `${name}-${colorScheme}.png`);
        await writeFile(file, smallPng(await page.screenshot({ animations: 'disabled' })));
        console.log(file);
        await page.close();
      }
    }
  } finally {
    await browser.close();
  }
};
