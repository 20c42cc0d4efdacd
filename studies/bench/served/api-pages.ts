import { Agent } from 'undici';

/** Every page of every organization, one after the other, by an HTTP client and nothing more. */
export async function* apiPages(baseUrl: string, organizations: readonly string[]) {
  const agent = new Agent();
  try {
    for (const id of organizations) {
      let cursor: string | undefined;
      do {
        const query = new URLSearchParams({ since: window.since, before: window.before, limit: '1000' });
        query.set('direction', 'asc');
        if (cursor !== undefined) query.set('cursor', cursor);
        const { origin, pathname } = new URL(`${baseUrl}/organizations/${id}/logs/audit`);
        const { body } = await agent.request({ origin, method: 'GET', path: `${pathname}?${query}` });
        const text = await body.text();
        // The cursor stands in the last bytes.
        cursor = /"cursor":"([^"]+)"/.exec(text.slice(-200))?.[1];
        yield { organizationId: id, text };
      } while (cursor !== undefined);
    }
  } finally {
    await agent.close();
  }
}

/** All that there is. */
export const window = { since: '2000-01-01T00:00:00.000Z', before: '2100-01-01T00:00:00.000Z' } as const;
