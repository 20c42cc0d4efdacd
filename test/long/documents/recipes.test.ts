import { execFile as execFileWithCallback } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { readPlan } from '../../../scripts/documents/generated.ts';
import { readImports, sourceFiles } from '../../../scripts/rooms/imports.ts';
import { violations } from '../../../scripts/rooms/rules.ts';
import { formatNames } from '../../../src/formats/registry.ts';
import { sourceKindNames } from '../../../src/ingest/sources/registry.ts';
import { sinkTypes } from '../../../src/sinks/registry.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';

// CONTRIBUTING.md tells how a sink, an operation, a kind of source and a format are added. This follows it, in a copy of src: the files of the recipe, its two
// lines in each registry, and nothing else.

const execFile = promisify(execFileWithCallback);
const root = fileURLToPath(new URL('../../..', import.meta.url));
const page = readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8');

/** The blocks of one language, each with the path in its first line. */
const blocks = (language: string, comment: string) =>
  [...page.matchAll(new RegExp(`^( *)\`\`\`${language}\n(.*?)^ *\`\`\``, 'gms'))]
    .map(([, indent = '', text = '']) => text.split('\n').map((line) => line.slice(indent.length)))
    .map(([first = '', ...lines]) => ({ path: first.slice(comment.length + 1), text: lines.join('\n') }))
    .filter(({ path }) => path.startsWith('src/'));

const { folder: copy } = temporaryFolder();
let found: Found;
const planted = blocks('ts', '//').map(({ path }) => path);
beforeAll(async () => {
  for (const name of ['src', 'drizzle', 'bin', 'package.json', 'tsconfig.json']) {
    cpSync(join(root, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  for (const { path, text } of blocks('ts', '//')) {
    mkdirSync(dirname(join(copy, path)), { recursive: true });
    writeFileSync(join(copy, path), text);
  }
  for (const { path, text } of blocks('diff', '#')) {
    const [importLine = '', name = ''] = text.split('\n').map((line) => line.slice(1));
    const registry = readFileSync(join(copy, path), 'utf8');
    const added = registry
      .replace(/^(const registry = \{.*?)^\};/ms, `$1${name}\n};`)
      .replace(/^(export const operations.* = \[)/m, `$1${name}`);
    writeFileSync(join(copy, path), `${importLine}\n${added}`);
  }
  found = await probe();
});

test('the page has a sink, an operation, a kind of source and a format', () => {
  expect(planted).toEqual([
    'src/sinks/kinds/loki.ts',
    'src/archive/drop-operations.ts',
    'src/ingest/sources/member-activity.ts',
    'src/formats/logfmt.ts',
  ]);
});

test('types fit, and the rooms are kept', async () => {
  const args = ['--noEmit', '--project', copy];
  const checked = await execFile(join(root, 'node_modules/.bin/tsc'), args, { cwd: copy }).catch(
    (error: { readonly stdout: string }) => error,
  );
  expect(checked.stdout).toBe('');
  const source = join(copy, 'src');
  const before = violations(readPlan(), sourceFiles(join(root, 'src')), readImports(join(root, 'src')));
  expect(violations(readPlan(), sourceFiles(source), readImports(source))).toEqual(before);
});

describe('a sink from the recipe', () => {
  test('is a type in ORGTRAIL_SINKS, with its defaults, its formats, its secret and its warning', () => {
    const common = {
      events: 'entries',
      start: 'beginning',
      copies: 'all',
      batch_events: 500,
      timeout: 30_000,
      gzip: true,
    };
    expect(found.configured).toEqual({
      sinks: [{ name: 'logs', settings: { ...sinkSettings, ...common } }],
      warnings: ['ORGTRAIL_SINKS.logs.url sends its token over plain http to loki.example.com'],
      secrets: [token],
    });
  });

  test('has its faults named, and takes its secret from a file', () => {
    for (const fault of [
      'a.token is missing',
      'b.token_file must be printable ASCII without spaces',
      `c.type must be one of ${sinkTypes.join(', ')}, loki`,
      'd.ca_file: the file cannot be read',
      'e.format must be one of ecs, ',
    ]) {
      expect(found.faults).toContain(`ORGTRAIL_SINKS.${fault}`);
    }
    expect(found.faults).not.toContain('two words');
  });

  test('delivers, and hides its secret in what the receiver says', () => {
    const values = [['1767225600000000000', '{"a":1}', { key: 'k', position: '1' }]];
    expect(found.delivered).toEqual({
      outcomes: [
        { kind: 'delivered', refused: [] },
        { kind: 'failed', reason: 'HTTP 401: check token: no: Bearer [redacted]' },
      ],
      first: { streams: [{ stream: { source: 'orgtrail' }, values }] },
    });
  });
});

test('a kind of source from the recipe is read where it says, with what it says, and has its filters', () => {
  expect(found.source).toEqual({
    asked: [expect.stringMatching(/^\/organizations\/o%2F1\/members\/activity\?since=1970-.*&action_type=create$/)],
    faults: [expect.stringContaining('unknown filter "actor_id"')],
    entries: 1,
    endpoints: ['member_activity_audit_logs'],
    names: [...sourceKindNames, 'member_activity'],
  });
});

test('an operation from the recipe gives what it declares, and no more', () => {
  expect(found.operation).toEqual({
    name: 'archive drops',
    body: [{ month: '2026-01' }],
    shown: '2026-01\n',
    help: expect.stringContaining('\nShow the months that retention has dropped\n'),
  });
});

test('a format from the recipe is known to the feed, to its OpenAPI, and to the help', () => {
  const { help, ...format } = found.format;
  const names = [...formatNames, 'logfmt'];
  const line = 'time=2026-01-01T00:00:00Z action="a b" position=7';
  expect(format).toEqual({ line, read: { position: 7 }, names });
  expect(help.replaceAll(/\s+/g, ' ')).toContain(names.map((name) => `"${name}"`).join(', '));
});

/** What a module in the copy, which loads all of it once, says of the three. */
const probe = async (): Promise<Found> => {
  const file = join(copy, 'src', 'probe.ts');
  writeFileSync(file, PROBE);
  const { stdout } = await execFile(process.execPath, [file], { cwd: copy });
  rmSync(file);
  return JSON.parse(stdout);
};

const token = 'a-very-secret-token';
const sinkSettings = { type: 'loki', url: 'http://loki.example.com:3100', token, format: 'logfmt' };
const faultySinks = {
  a: { type: 'loki', url: 'https://loki' },
  b: { type: 'loki', url: 'https://loki', token_file: 'two-words', ca_file: '/none' },
  c: { type: 'pigeon' },
  d: { type: 'loki', url: 'https://loki', token: 'x', ca_file: '/none' },
  e: { type: 'elasticsearch', url: 'https://e', index: 'x', format: 'logfmt' },
};
const PROBE = `
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Writable } from 'node:stream';
import { runCli } from './cli/cli.ts';
import { operations } from './app/operations.ts';
import { perform } from './base/operation.ts';
import { loadConfig, secretsOf } from './app/config/config.ts';
import { formats } from './formats/registry.ts';
import { feedQuery } from './http/openapi.ts';
import { connectAuditApi } from './ingest/cloudflare/audit-api.ts';
import { createServerClock } from './ingest/cloudflare/wire/request.ts';
import { parseFilters } from './ingest/sources/source-kind.ts';
import { startWalk } from './ingest/planning/walk.ts';
import { kindOf, sourceKindNames } from './ingest/sources/registry.ts';
import { createSink, sinkSettings } from './sinks/registry.ts';

const listen = async (answer) => {
  const server = createServer(answer);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: 'http://127.0.0.1:' + server.address().port, close: () => server.close() };
};
const load = (sinks) =>
  loadConfig({ ORGTRAIL_SINKS: JSON.stringify(sinks) }, { needsCredential: false, interactive: false });

const configured = () => {
  const config = load({ logs: ${JSON.stringify(sinkSettings)} });
  return { sinks: config.sinks, warnings: config.warnings, secrets: secretsOf(config) };
};
const faults = () => {
  writeFileSync('two-words', 'two words');
  try { load(${JSON.stringify(faultySinks)}); return ''; } catch (error) { return String(error); }
};
const delivered = async () => {
  const bodies = [];
  const receiver = await listen((request, response) => {
    let body = '';
    request.on('data', (chunk) => { body += chunk; }).on('end', () => {
      bodies.push(JSON.parse(body));
      if (bodies.length === 1) response.writeHead(204).end();
      else response.writeHead(401).end('no: ' + request.headers.authorization);
    });
  });
  const settings = { type: 'loki', url: receiver.url, token: '${token}', gzip: false };
  const sink = createSink(sinkSettings.parse(settings));
  const event = { position: 1, receivedAt: '2026-01-01T00:00:00Z' };
  const delivery = { id: 'one', events: [{ event, key: 'k', text: '{"a":1}' }] };
  const deliver = () => sink.deliver(delivery, new AbortController().signal);
  const outcomes = [await deliver(), await deliver()];
  await sink.close();
  receiver.close();
  return { outcomes, first: bodies[0] };
};
const source = async () => {
  const asked = [];
  const served = await listen((request, response) => {
    asked.push(request.url);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ success: true, errors: [], result: [{ id: 'one' }], result_info: {} }));
  });
  const { filters, faults } = parseFilters('action_type=create&actor_id=x', kindOf({ kind: 'member_activity' }).filters);
  const endpoints = [];
  const { api, close } = connectAuditApi({
    baseUrl: served.url,
    credential: { kind: 'token', token: 'a-token' },
    filtersOf: () => filters,
    budget: { acquire: async () => {}, pause: async () => {} },
    clock: createServerClock(() => performance.now()),
    observer: { onAttempt: ({ endpoint }) => endpoints.push(endpoint) },
    onUnreadable: () => {},
    version: '0',
  });
  const walk = startWalk('live', { fromMs: 60_000, toMs: 120_000 }, { readAtMs: 180_000 });
  const page = await api.fetchPage({ kind: 'member_activity', id: 'o/1' }, walk, new AbortController().signal);
  await close();
  served.close();
  return { asked, faults, entries: page.entries, endpoints, names: sourceKindNames };
};
const printed = async (args) => {
  let text = '';
  const stdout = new Writable({ write: (chunk, _, done) => { text += chunk; done(); } });
  const { signal } = new AbortController();
  await runCli(args, { env: {}, stdout, stderr: stdout, interactive: false, signal });
  return text;
};
const operation = async () => {
  const [{ name, output, show }] = operations;
  const run = async () => [{ month: '2026-01', secret: 'not declared' }];
  const body = await perform({ output, run }, {}, {});
  return { name, body, shown: show(output.parse(body)), help: await printed(['archive', 'drops', '--help']) };
};
const format = async () => {
  const event = {
    position: 7, feedId: 'f', sourceKind: 'organization', sourceId: 's', organizationId: 'o',
    organizationName: null, id: 'x', actionTime: null, receivedAt: '2026-01-01T00:00:00Z', defects: null,
    rawText: '{"action":{"type":"a\\\\nb"}}',
  };
  const line = formats.logfmt.format(event);
  const help = await printed(['feed', '--help']);
  return { line, read: formats.logfmt.readLine(line), names: feedQuery.shape.format.unwrap().options, help };
};
console.log(JSON.stringify({
  configured: configured(), faults: faults(), delivered: await delivered(), source: await source(), operation: await operation(), format: await format(),
}));
`;

interface Found {
  readonly configured: unknown;
  readonly faults: string;
  readonly delivered: unknown;
  readonly source: unknown;
  readonly operation: unknown;
  readonly format: { readonly help: string };
}
