import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { expect, test } from 'vitest';
import { createLogin } from '../../support/accounts/login.ts';
import { openArchiveWorld } from '../../support/archive/archive-world.ts';
import { RETENTION_DAYS } from '../../support/postgres/store-fixture.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';

const bundle = fileURLToPath(new URL('../../../dist/orgtrail.js', import.meta.url));

test('search_events reaches archived months if it is asked to, with an account that may read alone', async () => {
  await using world = await openArchiveWorld(4);
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-test-archive-'));
  await using reader = await createLogin(world.database, ['orgtrail_reader']);
  try {
    const archived = { ORGTRAIL_ARCHIVE: `file://${directory}` };
    const env = { DATABASE_URL: world.database.daemonUrl, ORGTRAIL_RETENTION: `${RETENTION_DAYS}d`, ...archived };
    const asked = { since: '2024-01-01', limit: 50 };
    const readerEnv = { DATABASE_URL: reader.url };
    const idsOf = ({ body }: Awaited<ReturnType<typeof ask>>) => body.events.map(({ id }: { id: string }) => id);
    const before = idsOf(await ask(readerEnv, 'search_events', asked));
    expect(before).toHaveLength(7);
    const run = await runOrgtrail(['archive', 'run', '--drop'], env);
    expect(run.code, run.stderr).toBe(0);

    const without = await ask({ ...readerEnv, ...archived }, 'search_events', asked);
    expect(idsOf(without)).toEqual(before.slice(0, 1));
    expect(without.body).toMatchObject({
      complete: false,
      archived_months_read: null,
      coverage: { archived_months: ['2024-01', '2024-02'] },
    });
    const found = await ask({ ...readerEnv, ...archived }, 'search_events', { ...asked, archive: true });
    expect(idsOf(found)).toEqual(before);
    expect(found.body.archived_months_read).toEqual(['2024-01', '2024-02']);
    expect(found.body.incomplete_because.join(' ')).not.toContain('in the archive alone');
    const { position } = found.body.events.at(-1);
    const one = await ask({ ...readerEnv, ...archived }, 'get_event', { position });
    expect(one.body.event).toMatchObject({ position, id: before.at(-1) });
    const unset = await ask(readerEnv, 'search_events', { ...asked, archive: true });
    expect(unset).toMatchObject({ isError: true, text: expect.stringContaining('ORGTRAIL_ARCHIVE is not set') });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

const ask = async (env: Readonly<Record<string, string>>, tool: string, asked: Record<string, unknown>) => {
  const transport = new StdioClientTransport({ command: process.execPath, args: [bundle, 'mcp'], env: { ...env } });
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(transport);
  try {
    const { isError = false, content } = await client.callTool({ name: tool, arguments: asked });
    const [{ text }] = content as [{ text: string }];
    return { isError, text, body: isError === true ? undefined : JSON.parse(text) };
  } finally {
    await client.close();
  }
};
