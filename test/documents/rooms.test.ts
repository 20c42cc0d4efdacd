import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readPlan, sourceFolder } from '../../scripts/documents/generated.ts';
import { importsOf, readImports, sourceFiles } from '../../scripts/rooms/imports.ts';
import { violations } from '../../scripts/rooms/rules.ts';

const plan = readPlan();
const files = sourceFiles(sourceFolder);
const imports = readImports(sourceFolder);

test('src keeps to rooms.json', () => {
  expect(violations(plan, files, imports)).toEqual([]);
});

describe('a planted violation is found:', () => {
  test.each([
    ['an import from a room above', 'ingest/planning/x.ts', "import { openApp } from '../../app/open-app.ts';"],
    ['the same from a folder within', 'sinks/webhook/x.ts', "import '../../http/server.ts';"],
    ['of a type alone', 'feed/x.ts', "import type { SyncContext } from '../http/feed/routes.ts';"],
    ['of a type in place', 'feed/x.ts', "let x: import('../http/server.ts').HttpServer;"],
    ['at run time', 'status/x.ts', "await import('../cli/cli.ts');"],
    ['handed on', 'sinks/planted/x.ts', "export { openApp } from '../../app/open-app.ts';"],
  ])('%s', (_what, file, text) => {
    expect(planted(file, text)).toEqual([expect.stringContaining('is above')]);
  });

  test.each([
    ['pg outside of SQL', 'search/x.ts', "import { Pool } from 'pg';", 'imports pg'],
    ['types of pg outside of SQL', 'search/x.ts', "import type { Pool } from 'pg';", 'imports pg'],
    ['fastify outside of http', 'status/x.ts', "import fastify from 'fastify';", 'imports fastify'],
    ['a plugin of it', 'status/x.ts', "import cookie from '@fastify/cookie';", 'imports @fastify/cookie'],
    ['commander outside of cli', 'app/planted/x.ts', "import { Command } from 'commander';", 'imports commander'],
    ['a part of a package', 'feed/x.ts', "import { Agent } from 'undici/x';", 'imports undici/x'],
    ['files in a pure room', 'ingest/planning/x.ts', "import { readFileSync } from 'node:fs';", 'is pure'],
    ['the network in a pure room', 'formats/ocsf/x.ts', "import net from 'net';", 'is pure'],
  ])('%s', (_what, file, text, words) => {
    expect(planted(file, text)).toEqual([expect.stringContaining(words)]);
  });

  test('SQL in a pure room', () => {
    const of = "import { x } from './x.sql.ts';";
    expect(planted('ingest/entries/y.ts', of)).toEqual([expect.stringContaining('is pure')]);
  });

  test('a circle, of types as well, named file by file', () => {
    const there = importsOf('base/a.ts', "import type { B } from './b.ts';");
    const back = importsOf('base/b.ts', "import { a } from './a.ts';");
    expect(violations(plan, ['base/a.ts', 'base/b.ts'], [...there, ...back])).toEqual([
      'a circle: base/a.ts → base/b.ts → base/a.ts (base/a.ts imports base/b.ts; base/b.ts imports base/a.ts)',
    ]);
  });

  test('a loose file, one in no room, and a folder with too many', () => {
    expect(planted('helpers.ts', '')).toEqual([expect.stringContaining('helpers.ts')]);
    expect(planted('utils/x.ts', '')).toEqual([expect.stringContaining('utils/x.ts')]);
    const many = Array.from({ length: 16 }, (_, index) => `base/planted/${index}.ts`);
    expect(violations(plan, many, [])).toEqual(['base/planted has 16 files, more than 15']);
  });
});

test('every room of rooms.json has files, and a line in CONTRIBUTING.md', () => {
  const contributing = readFileSync(new URL('../../CONTRIBUTING.md', import.meta.url), 'utf8');
  for (const { room } of plan.rooms) {
    expect(
      files.filter((file) => file === room || file.startsWith(`${room}/`)),
      room,
    ).not.toEqual([]);
    expect(contributing, room).toContain(`\`${room}\``);
  }
});

/** What is said if this file stood in src as well. */
const planted = (file: string, text: string): string[] =>
  violations(plan, [...files, file], [...imports, ...importsOf(file, text)]);
