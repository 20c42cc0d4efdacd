import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import type { TestProject } from 'vitest/node';
import { startEmbeddedServer } from '../../src/store/embedded-server.ts';
import { migrateDatabase } from '../../src/store/migrate.ts';
import { createPool } from '../../src/store/pool.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** A server on which databases may be created. */
    serverUrl: string;
    /** A migrated database that new ones are copied from. */
    templateName: string;
  }
}

/**
 * One real PostgreSQL for a run: TEST_DATABASE_URL if given, else the embedded server in a temporary directory. Migrates
 * one template database; every test file copies it (see database.ts).
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env['TEST_DATABASE_URL'];
  const directory = given === undefined ? await mkdtemp(join(tmpdir(), 'orgtrail-test-')) : undefined;
  const server = directory === undefined ? undefined : await startEmbeddedServer(directory);
  const serverUrl = given ?? server?.url ?? '';
  const templateName = `orgtrail_template_${process.pid}_${project.name}`;
  const admin = new Client({ connectionString: serverUrl });
  await admin.connect();
  await admin.query(`drop database if exists ${templateName}`);
  await admin.query(`create database ${templateName}`);
  const pool = createPool(withDatabase(serverUrl, templateName), 2, () => {});
  await migrateDatabase(pool);
  await pool.end();
  project.provide('serverUrl', serverUrl);
  project.provide('templateName', templateName);
  return async () => {
    await admin.query(`drop database if exists ${templateName}`);
    await admin.end();
    await server?.stop();
    if (directory !== undefined) await rm(directory, { recursive: true, force: true });
  };
}

/** The same server, another database. */
export const withDatabase = (serverUrl: string, name: string): string => {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
};
