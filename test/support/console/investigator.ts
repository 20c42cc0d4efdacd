import type { Locator, Page } from 'playwright-core';

/** What a task took. */
export interface TaskCost {
  readonly task: string;
  readonly clicks: number;
  /** Keys that are no text: Tab, Enter, j. */
  readonly keys: number;
  readonly characters: number;
  readonly seconds: number;
}

/** A person at a page: each click and key is counted. Waiting for what appears is in the seconds. */
export class Investigator {
  readonly page: Page;
  #clicks = 0;
  #keys = 0;
  #characters = 0;
  readonly #beganMs = performance.now();

  constructor(page: Page) {
    this.page = page;
  }

  async click(target: Locator): Promise<void> {
    this.#clicks += 1;
    await target.click();
  }

  async press(key: string): Promise<void> {
    this.#keys += 1;
    await this.page.keyboard.press(key);
  }

  async type(text: string): Promise<void> {
    this.#characters += text.length;
    await this.page.keyboard.type(text);
  }

  /** Tab until the element has the focus: what a person without a pointer does. */
  async tabTo(target: Locator): Promise<void> {
    for (let n = 0; n < 300; n += 1) {
      await this.press('Tab');
      if ((await target.and(this.page.locator(':focus')).count()) > 0) return;
    }
    throw new Error('Tab did not get there.');
  }

  cost(task: string): TaskCost {
    const seconds = Math.round((performance.now() - this.#beganMs) / 100) / 10;
    return { task, clicks: this.#clicks, keys: this.#keys, characters: this.#characters, seconds };
  }
}
