import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTlsServer } from 'node:tls';
import { expect, test } from 'vitest';
import { listen } from '../../support/network/listen.ts';
import { makeCertificates } from '../../support/network/server-certificates.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

test('one event that a receiver does not take, one slow receiver, one that is away: each has all the others', async () => {
  await using certificates = await makeCertificates();
  const { authorityFile, good } = certificates;
  await using forbidden = await startHttp(refusing(403));
  await using broken = await startHttp(refusing(500));
  await using resets = await startHttp((text, _, request) => {
    if (isBad(text)) request.socket.resetAndDestroy();
    return !isBad(text);
  });
  await using slow = await startHttp(async (text) => {
    await sleep(EVENT_MS * positionsIn(text).length);
    return true;
  });
  let isOpen = false;
  await using closed = await startHttp((_, response) => {
    if (!isOpen) response.writeHead(403).end('who are you');
    return isOpen;
  });
  const tcpFacts = { stored: [] as number[], attempts: 0 };
  await using tcp = await listening(createTcpServer({ allowHalfOpen: true }, onSyslog(tcpFacts)), tcpFacts);
  const tlsFacts = { stored: [] as number[], attempts: 0 };
  const tlsServer = createTlsServer({ ...good, allowHalfOpen: true }, onSyslog(tlsFacts));
  await using tls = await listening(tlsServer, tlsFacts);

  const http = (receiver: Receiver) => ({
    type: 'http',
    url: `http://127.0.0.1:${receiver.port}/`,
    gzip: false,
    timeout: '5s',
  });
  const syslog = { type: 'syslog', timeout: '4s' };
  const bad = { forbidden, broken, resets, tcp, tls };
  const sinks = {
    ...Object.fromEntries(
      Object.entries({ forbidden, broken, resets, slow, closed }).map(([name, each]) => [name, http(each)]),
    ),
    tcp: { ...syslog, url: `tcp://127.0.0.1:${tcp.port}` },
    tls: { ...syslog, url: `tls://localhost:${tls.port}`, ca_file: authorityFile },
  };
  await using world = await openWorld({ organizations: 1, entries: ENTRIES, pageCap: 700 });
  await using daemon = await startDaemonProcess({ ...world.env, ORGTRAIL_SINKS: JSON.stringify(sinks) });
  const shown = async () => (await daemon.health()).sinks;
  const isAtEnd = (names: readonly string[]) => async () =>
    (await shown()).filter(({ name, position }) => names.includes(name ?? '') && position === ENTRIES).length ===
    names.length;

  await until('the one that is closed has been asked for a while', async () => closed.attempts >= 7);
  expect(closed.stored).toEqual([]);
  isOpen = true;
  await untilOrStuck({ ...bad, slow, closed }, isAtEnd(Object.keys(sinks)));

  const all = Array.from({ length: ENTRIES }, (_, n) => n + 1);
  for (const [name, { stored, attempts }] of Object.entries(bad)) {
    expect(inLastOrder(stored), name).toEqual(all.filter((position) => position !== BAD));
    // Four come before their turn and again in it.
    expect([name, stored.length - ENTRIES + 1 <= 6, attempts < 60]).toEqual([name, true, true]);
  }
  expect(inLastOrder(slow.stored)).toEqual(all);
  expect(slow.stored.length).toBeLessThan(3 * ENTRIES);
  expect(inLastOrder(closed.stored)).toEqual(all);
  expect(closed.stored.length).toBeLessThanOrEqual(ENTRIES + 1);
  const { rows } = await world.database.pool.query<{ sink: string; position: number; reason: string }>(
    'select sink, position::float8, reason from sink_dead_letters order by sink collate "C"',
  );
  const alone = (said: string) => expect.stringMatching(new RegExp(`^it alone is not taken, others are, .*: ${said}`));
  expect(rows).toEqual([
    { sink: 'broken', position: BAD, reason: alone('HTTP 500: blocked') },
    { sink: 'forbidden', position: BAD, reason: alone('HTTP 403: check ') },
    { sink: 'resets', position: BAD, reason: alone('') },
    { sink: 'tcp', position: BAD, reason: alone('the receiver has not read everything') },
    { sink: 'tls', position: BAD, reason: alone('the receiver has not read everything') },
  ]);
  const listed = await runInProcess(['sink', 'dead-letters', 'forbidden'], world.ownerEnv);
  expect(listed.stdout).toContain('it alone is not taken');
  expect(await daemon.stop()).toBe(143);
});

test('several events that a receiver does not take, adjacent or every second one: all others arrive, and no more is given up', async () => {
  const some = (isRefused: (position: number) => boolean) => (text: string) => positionsIn(text).some(isRefused);
  await using adjacent = await startHttp(refusing(403, some(isAdjacent)));
  await using invalid = await startHttp(refusing(400, some(isAdjacent)));
  await using second = await startHttp(refusing(403, some(isSecond)));
  let left = OUT;
  let inRow = 0;
  let isFound = false;
  const isRefused = (text: string): boolean => {
    const positions = positionsIn(text);
    if (positions.length === 1 && positions[0] === LAST_ADJACENT) inRow += 1;
    // Two attempts at once have made it a dead letter: what follows would be taken.
    else if (inRow >= 2) isFound = true;
    else inRow = 0;
    if (isFound && left > 0) {
      left -= 1;
      return true;
    }
    return positions.some(isAdjacent);
  };
  await using expires = await startHttp(refusing(403, isRefused));
  const receivers = { adjacent, expires, invalid, second };
  const sinks = Object.fromEntries(
    Object.entries(receivers).map(([name, { port }]) => [
      name,
      { type: 'http', url: `http://127.0.0.1:${port}/`, gzip: false },
    ]),
  );
  await using world = await openWorld({ organizations: 1, entries: FEW_ENTRIES, pageCap: FEW_ENTRIES });
  await using daemon = await startDaemonProcess({ ...world.env, ORGTRAIL_SINKS: JSON.stringify(sinks) });
  await untilOrStuck(receivers, async () => {
    const shown = (await daemon.health()).sinks;
    return shown.every(({ position }) => position === FEW_ENTRIES);
  });

  const all = Array.from({ length: FEW_ENTRIES }, (_, n) => n + 1);
  const { rows } = await world.database.pool.query<{ sink: string; position: number; reason: string }>(
    'select sink, position::float8, reason from sink_dead_letters order by position',
  );
  for (const [name, { stored, attempts }] of Object.entries(receivers)) {
    const isLetter = name === 'second' ? isSecond : isAdjacent;
    const letters = rows.filter(({ sink }) => sink === name);
    expect([name, letters.map(({ position }) => position)]).toEqual([name, all.filter(isLetter)]);
    expect([name, inLastOrder(stored)]).toEqual([name, all.filter((position) => !isLetter(position))]);
    expect([name, attempts < 8 * letters.length + OUT + 100]).toEqual([name, true]);
    if (name !== 'invalid') {
      for (const { reason } of letters) expect(reason).toMatch(/^it alone is not taken, others are, .*: HTTP 403: /);
    }
  }
  expect(left).toBe(0);
  expect(await daemon.stop()).toBe(143);
});

const ENTRIES = 700;
/** Not taken by the receivers that take all others. */
const BAD = 190;
const EVENT_MS = 20;

/** So many of them adjacent, or every second one: the last one is taken. */
const FEW_ENTRIES = 201;
const LAST_ADJACENT = 130;
const isAdjacent = (position: number): boolean => position > 100 && position <= LAST_ADJACENT;
const isSecond = (position: number): boolean => position % 2 === 0;

/** Requests that are refused, whatever is in them, once the last of the adjacent ones is a dead letter. */
const OUT = 30;

const positionsIn = (text: string): number[] =>
  [...text.matchAll(/"position":(\d+),/g)].map(([, position]) => Number(position));

const isBad = (text: string): boolean => positionsIn(text).includes(BAD);

/** Each once, by when it came last: what was tried before its turn comes again in it. */
const inLastOrder = (stored: readonly number[]): number[] =>
  stored.filter((position, index) => stored.lastIndexOf(position) === index);

interface Receiver extends AsyncDisposable {
  readonly port: number;
  /** Positions, as they came. */
  readonly stored: number[];
  /** Requests or connections. */
  attempts: number;
  /** Of them, the last ones over HTTP that had the same several events. */
  repeats?: number;
}

const listening = async (server: Server, facts: Omit<Receiver, 'port' | typeof Symbol.asyncDispose>) => {
  const { port, stop } = await listen(server);
  return Object.assign(facts, { port, [Symbol.asyncDispose]: stop });
};

type Answer = (text: string, response: ServerResponse, request: IncomingMessage) => boolean | Promise<boolean>;

/** `answer` says whether it stores what came; if it has not answered, that is a 200. */
const startHttp = async (answer: Answer): Promise<Receiver> => {
  const facts = { stored: [] as number[], attempts: 0, repeats: 0 };
  let last = '';
  const server = createServer(async (request, response) => {
    facts.attempts += 1;
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString('utf8');
    const positions = positionsIn(text);
    facts.repeats = positions.length > 1 && positions.join() === last ? facts.repeats + 1 : 1;
    last = positions.join();
    if (!(await answer(text, response, request))) return;
    facts.stored.push(...positionsIn(text));
    if (!response.destroyed) response.end('{}');
  });
  return await listening(server, facts);
};

/** Reads to the end and closes; but of a stream with the bad event no further than to there. */
const onSyslog =
  (facts: { stored: number[]; attempts: number }) =>
  (socket: Socket): void => {
    facts.attempts += 1;
    let text = '';
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (isBad(text)) socket.pause().removeAllListeners('data');
    });
    socket.on('end', () => {
      if (isBad(text)) return;
      facts.stored.push(...positionsIn(text));
      socket.end();
    });
  };

/** Waits, but not for a receiver that gets the same several events again and again. */
const untilOrStuck = async (receivers: Readonly<Record<string, Receiver>>, holds: () => Promise<boolean>) => {
  const stuck = () => Object.keys(receivers).filter((name) => (receivers[name]?.repeats ?? 0) > 5);
  await until('each has what it takes', async () => stuck().length > 0 || (await holds()));
  expect(stuck(), 'get the same events again and again').toEqual([]);
};

const refusing =
  (status: number, isRefused = isBad): Answer =>
  (text, response) => {
    if (!isRefused(text)) return true;
    response.writeHead(status).end('blocked');
    return false;
  };
