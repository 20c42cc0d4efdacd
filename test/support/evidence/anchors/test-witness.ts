import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { publicBytes } from '../../../../src/evidence/bytes.ts';
import { type Checkpoint, parseCheckpoint } from '../../../../src/evidence/notes/checkpoint.ts';
import {
  parseNote,
  signatureTypes,
  type VerifierKey,
  verifierKey,
  verifyNote,
} from '../../../../src/evidence/notes/signed-note.ts';
import { listen } from '../../network/listen.ts';
import { isConsistent } from '../consistency.ts';
import { cosignatureOf } from '../test-keys.ts';

/** A witness of c2sp.org/tlog-witness on loopback, as the specification says it. */
export interface TestWitness extends AsyncDisposable {
  readonly url: string;
  readonly key: VerifierKey;
  /** The largest checkpoint of each log, by origin. */
  readonly seen: Map<string, Checkpoint>;
  /** What it answered, in order. */
  readonly statuses: number[];
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly type?: string;
}

/** Knows logs by these keys. */
export const startWitness = async (logs: readonly VerifierKey[]): Promise<TestWitness> => {
  const { privateKey } = generateKeyPairSync('ed25519');
  const key = verifierKey('witness.test/w', signatureTypes.cosignature, publicBytes(privateKey));
  const seen = new Map<string, Checkpoint>();
  const statuses: number[] = [];

  const cosign = (text: string): string => {
    const atSeconds = Math.floor(Date.now() / 1_000);
    const id = Buffer.alloc(4);
    id.writeUInt32BE(key.id);
    const line = Buffer.concat([id, cosignatureOf(text, atSeconds, privateKey)]).toString('base64');
    return `\u2014 ${key.name} ${line}\n`;
  };

  const add = (body: string): Answer => {
    const cut = body.indexOf('\n\n');
    const [head = '', ...proof] = body.slice(0, cut).split('\n');
    const oldSize = Number(/^old (\d+)$/.exec(head)?.[1]);
    const note = Buffer.from(body.slice(cut + 2));
    const { text } = parseNote(note);
    const checkpoint = parseCheckpoint(text);
    const own = logs.filter(({ name }) => name === checkpoint.origin);
    if (own.length === 0) return { status: 404, body: 'unknown origin\n' };
    try {
      verifyNote(parseNote(note), own);
    } catch {
      return { status: 403, body: 'not signed by a known key\n' };
    }
    if (oldSize > checkpoint.size) return { status: 400, body: 'old is larger than the checkpoint\n' };
    const before = seen.get(checkpoint.origin);
    if (oldSize !== (before?.size ?? 0))
      return { status: 409, body: `${before?.size ?? 0}\n`, type: 'text/x.tlog.size' };
    const hashes = proof.filter((line) => line !== '').map((line) => Buffer.from(line, 'base64'));
    if (before?.size === checkpoint.size && !Buffer.from(before.root).equals(checkpoint.root))
      return { status: 409, body: `${before.size}\n`, type: 'text/x.tlog.size' };
    if (before !== undefined && before.size > 0 && !isConsistent(before, checkpoint, hashes))
      return { status: 422, body: 'not consistent\n' };
    seen.set(checkpoint.origin, checkpoint);
    return { status: 200, body: cosign(text) };
  };

  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const isAdd = request.method === 'POST' && request.url === '/add-checkpoint';
      const {
        status,
        body,
        type = 'text/plain',
      } = isAdd ? add(Buffer.concat(parts).toString()) : { status: 404, body: '' };
      statuses.push(status);
      response.writeHead(status, { 'content-type': type }).end(body);
    });
  });
  const { port, stop } = await listen(server);
  return { url: `http://127.0.0.1:${port}`, key, seen, statuses, [Symbol.asyncDispose]: stop };
};
