import { afterAll, beforeAll, expect, test } from 'vitest';
import { accessibilityFaults } from '../support/console/accessibility.ts';
import { type ConsoleFixture, expectNoFaults, openConsole } from '../support/console/console-fixture.ts';

const feedToken = 'feed-token-of-the-test';
let console: ConsoleFixture;

beforeAll(async () => {
  console = await openConsole({ env: { ORGTRAIL_FEED_TOKEN: feedToken } });
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

test('a wrong token is refused, the right one opens what was asked for, signing out closes it', async () => {
  const { page, faults } = await console.newPage();
  await page.goto(`${console.url}/?state=failing`);
  expect(new URL(page.url()).pathname).toBe('/console/sign-in');
  expect(await accessibilityFaults(page)).toEqual([]);

  const field = page.getByLabel('Token');
  await field.fill('not-the-token-of-the-test');
  await field.press('Enter');
  await page.getByRole('alert').getByText('Wrong, expired or revoked token.').waitFor();
  expect(await accessibilityFaults(page)).toEqual([]);

  await page.getByLabel('Token').fill(feedToken);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
  expect(page.url()).toBe(`${console.url}/?state=failing`);

  const [cookie] = await page.context().cookies();
  expect(cookie).toMatchObject({ name: 'orgtrail_session', httpOnly: true, sameSite: 'Strict', path: '/' });
  expect(cookie?.value).not.toContain(feedToken);

  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await page.goto(`${console.url}/`);
  expect(new URL(page.url()).pathname).toBe('/console/sign-in');
  expectNoFaults(faults);
});

test('who tries too often is told to wait', async () => {
  const { page, faults } = await console.newPage();
  await page.goto(`${console.url}/console/sign-in`);
  const waiting = page.getByText(/Too many attempts to sign in from your address. Try again in/);
  // At once: a minute later they are forgotten, and a busy machine may need that long for one after the other.
  const wrong = { form: { token: 'not-the-token-of-the-test' }, headers: { origin: console.url } };
  await Promise.all(Array.from({ length: 12 }, () => page.request.post(`${console.url}/console/sign-in`, wrong)));
  await page.getByLabel('Token').fill('not-the-token-of-the-test');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await waiting.waitFor();
  expectNoFaults(faults);
});
