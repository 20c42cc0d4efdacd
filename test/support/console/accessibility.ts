import axe from 'axe-core';
import type { Page } from 'playwright-core';

/** The rules whose answer depends on colours. */
export const colourRules = ['color-contrast', 'link-in-text-block'] as const;

/**
 * What axe finds wrong on a page, one line each, WCAG 2.2 AA and good practice. Injected by the debugger, not by the page:
 * the policy (CSP) stays as it is.
 */
export const accessibilityFaults = async (page: Page, rules?: readonly string[]): Promise<readonly string[]> => {
  if (await page.evaluate('window.axe === undefined')) await page.evaluate(`${axe.source}; undefined`);
  const options = { resultTypes: ['violations'], ...(rules !== undefined && { runOnly: rules }) };
  return await page.evaluate<readonly string[]>(
    `axe.run(document, ${JSON.stringify(options)}).then(({ violations }) =>
       violations.flatMap(({ id, impact, nodes }) =>
         nodes.map(({ target, failureSummary }) => impact + ' ' + id + ' at ' + target.join(' ') + ': ' + failureSummary)))`,
  );
};
