import axe from 'axe-core';
import type { Page } from 'playwright-core';

/**
 * What axe finds wrong on a page, one line each, WCAG 2.2 AA and good practice. Injected by the debugger, not by the page:
 * the policy (CSP) stays as it is.
 */
export const accessibilityFaults = async (page: Page): Promise<readonly string[]> => {
  await page.evaluate(`${axe.source}; undefined`);
  return await page.evaluate<readonly string[]>(
    `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
       violations.flatMap(({ id, impact, nodes }) =>
         nodes.map(({ target, failureSummary }) => impact + ' ' + id + ' at ' + target.join(' ') + ': ' + failureSummary)))`,
  );
};
