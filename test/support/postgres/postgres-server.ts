import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import type { TestProject } from 'vitest/node';
import { startEmbeddedServer } from '../../../src/postgres/embedded-server.ts';
import { prepareForDaemon } from '../accounts/daemon-account.ts';
import { startPostgresContainer } from './postgres-container.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** A server on which databases may be created. */
    serverUrl: string;
    /** A migrated database that new ones are copied from. */
    templateName: string;
  }
}

/**
 * One real PostgreSQL for a run: TEST_DATABASE_URL if given, else a container if Docker answers, else the embedded server
 * in a temporary directory. TEST_POSTGRES=container or =embedded allows that one only. Migrates one template database, with the rights
 * of the roles; every test file copies it (see database.ts).
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { url: serverUrl, stop } = await startServer();
  const templateName = `orgtrail_template_${process.pid}_${project.name}`;
  const admin = new Client({ connectionString: serverUrl });
  await admin.connect();
  await admin.query(`drop database if exists ${templateName}`);
  await admin.query(`create database ${templateName}`);
  await prepareForDaemon(withDatabase(serverUrl, templateName));
  project.provide('serverUrl', serverUrl);
  project.provide('templateName', templateName);
  return async () => {
    await admin.query(`drop database if exists ${templateName}`);
    await admin.end();
    await stop();
  };
}

interface Server {
  readonly url: string;
  stop(): Promise<void>;
}

const startServer = async (): Promise<Server> => {
  const given = process.env['TEST_DATABASE_URL'];
  if (given !== undefined) return { url: given, stop: async () => {} };
  const only = process.env['TEST_POSTGRES'];
  if (only !== 'embedded') {
    const container = await startPostgresContainer().catch((error: unknown) => {
      if (only === 'container') throw error;
      console.log(`Docker answers, but has no PostgreSQL for the tests (${String(error)}): the embedded one serves`);
    });
    if (container !== undefined) return container;
    if (only === 'container') throw new Error('TEST_POSTGRES=container, and no Docker engine answers');
  }
  return await startEmbedded();
};

/** Three files at once, five concurrent tests in each, a daemon and the test's own pool in each of those: some 300 connections. */
const MAX_CONNECTIONS = 500;

const startEmbedded = async (): Promise<Server> => {
  const directory = await mkdtemp(join(await roomiestFolder(), 'orgtrail-test-'));
  const server = await startEmbeddedServer(directory, MAX_CONNECTIONS);
  await forgoDurability(server.url);
  return {
    url: server.url,
    stop: async () => {
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
};

const ENOUGH_BYTES = 8 * 2 ** 30;

/** Hundreds of databases are made and dropped: in memory, where there is room, that takes a third of the time. */
const roomiestFolder = async (): Promise<string> => {
  const memory = '/dev/shm';
  const { bavail, bsize } = await statfs(memory).catch(() => ({ bavail: 0, bsize: 0 }));
  return bavail * bsize > ENOUGH_BYTES ? memory : tmpdir();
};

/** Crashes of a server are tried on servers of their own (test/trouble). */
const forgoDurability = async (url: string): Promise<void> => {
  const client = new Client({ connectionString: url });
  await client.connect();
  for (const setting of ['fsync', 'full_page_writes']) await client.query(`alter system set ${setting} = off`);
  await client.query('select pg_reload_conf()');
  await client.end();
};

/** The same server, another database. */
export const withDatabase = (serverUrl: string, name: string): string => {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
};
