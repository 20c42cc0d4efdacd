import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { createClient, createPool, requireReachable } from '../../../src/postgres/pool.ts';
import { listen } from '../../support/network/listen.ts';

/** AuthenticationCleartextPassword. */
const WHAT_IS_YOUR_PASSWORD = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]);

test('a server that asks for the password in clear text gets none over a connection without TLS, and the error says what to do', async () => {
  await using server = await startRogueServer();
  const pool = createPool(server.url, 1, () => {});
  await expect(requireReachable(pool, server.url)).rejects.toMatchObject({
    message: expect.stringContaining('asks for the password in clear text'),
    hint: expect.stringContaining('sslmode=verify-full'),
  });
  await expect(createClient(server.url).connect()).rejects.toThrow('in clear text');
  expect(server.taken()).not.toContain(PASSWORD);
  await pool.end();
});

test('sslmode=disable says that it is meant', async () => {
  await using server = await startRogueServer();
  await expect(createClient(`${server.url}?sslmode=disable`).connect()).rejects.toThrow();
  expect(server.taken()).toContain(PASSWORD);
});

const PASSWORD = 'S3cretPassw0rd';

/** Anything that listens where PostgreSQL should: it asks for the password, and keeps what it is told. */
const startRogueServer = async () => {
  const taken: Buffer[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.write(WHAT_IS_YOUR_PASSWORD));
    socket.on('data', (chunk) => {
      taken.push(chunk);
      if (chunk.includes(PASSWORD)) socket.destroy();
    });
  });
  const { port, stop } = await listen(server);
  return {
    url: `postgres://orgtrail:${PASSWORD}@127.0.0.1:${port}/orgtrail`,
    taken: () => Buffer.concat(taken).toString('latin1'),
    [Symbol.asyncDispose]: stop,
  };
};
