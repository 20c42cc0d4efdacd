import { hash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { SourceRef } from '../entries/entry-text.ts';
import type { FaultName } from '../faults/fault-catalogue.ts';
import type { Occasion, Operation } from '../faults/fault-plan.ts';
import type { World } from '../world/world.ts';
import type { Access } from './access.ts';
import { answerAboutAccounts } from './accounts-api.ts';
import type { AuditApi } from './audit-api.ts';
import type { AuditQueryOptions } from './audit-query.ts';
import { type AcceptedCredential, type ApiCall, admit, type Caller, type RateLimit } from './credentials.ts';
import { basePath, type OrganizationsApi } from './organizations-api.ts';
import {
  errorReply,
  type Interruption,
  interruption,
  pause,
  type Reply,
  type Silence,
  sendCutOff,
  sendSlowly,
  staySilent,
  tooManyRequests,
  unroutable,
} from './reply.ts';
import { listHistory } from './resource-history.ts';

interface Parts {
  readonly world: World;
  readonly access: Access;
  readonly audit: AuditApi;
  readonly organizations: OrganizationsApi;
  readonly rateLimit: RateLimit;
  readonly requests: RequestLog;
  readonly options: AuditQueryOptions & {
    readonly credentials: readonly AcceptedCredential[] | undefined;
    /** False: `GET /accounts` hides accounts that users reach through their organization alone. */
    readonly listsImplicitAccounts: boolean;
  };
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly arrivedMs: number;
  /** Later than its arrival only if a fault holds it up. */
  readonly timeMs: number;
  readonly caller: Caller;
  readonly ratelimit: Readonly<Record<string, string>>;
}

/** Credential, budget, routing, permissions, faults of the wire, request log. Faults are decided per admitted request, in order. */
export class ApiFront {
  readonly #parts: Parts;
  #admitted = 0;
  #answered = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { world, rateLimit, options } = this.#parts;
    const timeMs = world.nowMs();
    const { caller, refusal: refused } = admit(request.headers, options.credentials, world.accounts);
    const verdict = rateLimit.admit(caller.owner, timeMs);
    const exchange: Exchange = { request, response, arrivedMs: timeMs, timeMs, caller, ratelimit: verdict.headers };
    if (verdict.retryAfterSeconds !== undefined) {
      this.#send(exchange, tooManyRequests({ 'Retry-After': String(verdict.retryAfterSeconds) }));
    } else if (refused !== undefined) {
      this.#send(exchange, refused);
    } else {
      await this.#answer(exchange);
    }
  }

  async #answer(exchange: Exchange): Promise<void> {
    const { path, query } = splitTarget(exchange.request.url);
    const route = routeOf(path);
    if (route === undefined) {
      this.#send(exchange, errorReply(404, 7000, 'No route for that URI'));
      return;
    }
    const { source, operation } = route;
    if (source !== undefined && !isIdentifier(source.id)) {
      this.#send(exchange, unroutable(404, path));
      return;
    }
    const occasion: Occasion = { number: this.#admitted++, operation, ...(source === undefined ? {} : { source }) };
    const interrupted = interruption(this.#parts.world.faults, occasion);
    if (interrupted?.kind === 'reply') {
      this.#send(exchange, { ...interrupted.reply, fault: interrupted.name }, occasion);
    } else if (interrupted?.kind === 'delay') {
      await this.#answerLate(exchange, query, route, occasion, interrupted);
    } else if (interrupted !== undefined) {
      this.#interrupt(exchange, interrupted.name, interrupted.kind);
    } else {
      this.#deliver(exchange, await this.#reply(exchange, query, route, occasion), occasion);
    }
  }

  async #answerLate(
    exchange: Exchange,
    query: URLSearchParams,
    route: Route,
    occasion: Occasion,
    { name, delayMs }: Interruption & { readonly kind: 'delay' },
  ): Promise<void> {
    if (!(await pause(exchange.response, delayMs))) {
      this.#record(exchange, 0, name);
      return;
    }
    const later = { ...exchange, timeMs: this.#parts.world.nowMs() };
    const reply = await this.#reply(later, query, route, occasion);
    this.#deliver(later, 'silentBy' in reply ? reply : { fault: name, ...reply }, occasion);
  }

  #deliver(exchange: Exchange, reply: Reply | Silence, occasion: Occasion): void {
    if ('silentBy' in reply) this.#interrupt(exchange, reply.silentBy, 'silence');
    else this.#send(exchange, reply, occasion);
  }

  async #reply(exchange: Exchange, query: URLSearchParams, route: Route, occasion: Occasion): Promise<Reply | Silence> {
    const { world, access, audit, options } = this.#parts;
    const { request, caller } = exchange;
    const { operation, source, entryId } = route;
    const method = request.method ?? 'GET';
    const call: ApiCall = { method, operation, source, entryId, query, caller, occasion };
    const refused = access.refusalOf(call);
    if (refused !== undefined) return refused;
    if (operation === 'organizations' || operation === 'organization' || operation === 'profile') {
      return this.#ofOrganizations(request, call);
    }
    if (method !== 'GET') return errorReply(405, 10405, 'Method not allowed');
    if (operation === 'audit' && source !== undefined) return audit.list(source, query, occasion);
    if (operation === 'history' && source !== undefined) {
      return listHistory(world, options, source, entryId ?? '', query);
    }
    return answerAboutAccounts({ world, access, ...options }, call);
  }

  async #ofOrganizations(request: IncomingMessage, call: ApiCall): Promise<Reply> {
    const body = await readBody(request);
    if (body === undefined) return errorReply(413, 1005, 'The body is too large');
    const userAgent = request.headers['user-agent'] ?? '';
    return this.#parts.organizations.handle({ ...call, url: request.url ?? '/', body, userAgent });
  }

  #interrupt(exchange: Exchange, name: FaultName, kind: 'silence' | 'reset'): void {
    this.#record(exchange, 0, name);
    if (kind === 'reset') exchange.response.destroy();
    else staySilent(exchange.response, this.#parts.world.faults.parameters.hangMs);
  }

  #send(exchange: Exchange, reply: Reply, occasion?: Occasion): void {
    const { response, timeMs, ratelimit } = exchange;
    const { faults } = this.#parts.world;
    const fires = (name: FaultName): boolean =>
      occasion !== undefined && reply.fault === undefined && faults.fires(name, occasion) !== undefined;
    const bodyFault = fires('cut_body') ? 'cut_body' : fires('slow_body') ? 'slow_body' : undefined;
    const body = Buffer.from(reply.body);
    // Before the last byte: who has read the answer finds its request in the log.
    this.#record(exchange, reply.status, reply.fault ?? bodyFault);
    const wrong = faults.meets('wrong_date', occasion ?? { number: this.#admitted });
    response.sendDate = false;
    response.writeHead(reply.status, {
      Date: new Date(timeMs + (wrong?.offsetSeconds ?? 0) * 1000).toUTCString(),
      'CF-Ray': rayOf(this.#parts.world.seed, this.#answered++),
      ...(reply.status === 204 ? {} : bodyHeaders(reply, body)),
      ...ratelimit,
      ...reply.headers,
    });
    if (reply.delivered !== undefined) response.once('finish', reply.delivered);
    if (bodyFault === 'cut_body') sendCutOff(response, body);
    else if (bodyFault === 'slow_body') sendSlowly(response, body, faults.parameters.slowBodyMs);
    else response.end(body);
  }

  #record({ request, response, arrivedMs, caller }: Exchange, status: number, wireFault: FaultName | undefined): void {
    const record: RequestRecord = {
      timeMs: arrivedMs,
      method: request.method ?? 'GET',
      host: request.headers.host ?? '',
      path: request.url ?? '/',
      status,
      credential: caller.fingerprint,
      owner: caller.owner,
      ...(wireFault === undefined ? {} : { wireFault }),
    };
    const end = (): void => {
      record.endedMs = this.#parts.world.nowMs();
    };
    if (response.closed) end();
    else response.once('close', end);
    this.#parts.requests.add(record);
  }
}

/** 64 bits, and the data center that answered. */
const rayOf = (seed: number, number: number): string => `${hash('sha256', `ray ${seed} ${number}`).slice(0, 16)}-FRA`;

const bodyHeaders = (reply: Reply, body: Buffer): Record<string, string | number> => ({
  'Content-Type': reply.contentType ?? 'application/json',
  'Content-Length': body.length,
});

type Route = Readonly<{ operation: Operation; source: SourceRef | undefined; entryId: string | undefined }>;

const organizationForms: readonly (readonly [RegExp, Operation])[] = [
  [/^$/, 'organization'],
  [/^\/profile$/, 'profile'],
  [/^\/accounts$/, 'organization_accounts'],
  [/^\/logs\/audit$/, 'audit'],
  [/^\/logs\/audit\/([^/]+)\/history$/, 'history'],
];

const accountForms: readonly (readonly [RegExp, Operation])[] = [
  [/^$/, 'account'],
  [/^\/tokens\/verify$/, 'verify'],
  [/^\/logs\/audit$/, 'audit'],
  [/^\/logs\/audit\/product_categories$/, 'product_categories'],
  [/^\/logs\/audit\/([^/]+)\/history$/, 'history'],
];

const collections: Readonly<Record<string, Operation>> = {
  '/organizations': 'organizations',
  '/accounts': 'accounts',
  '/user': 'user',
  '/user/tokens/verify': 'verify',
};

function routeOf(path: string): Route | undefined {
  if (!path.startsWith(`${basePath}/`)) return undefined;
  const rest = path.slice(basePath.length);
  const operation = collections[rest];
  if (operation !== undefined) return { operation, source: undefined, entryId: undefined };
  const [, collection, id, tail = ''] = /^\/(organizations|accounts)\/([^/]+)(\/.*)?$/.exec(rest) ?? [];
  if (id === undefined) return undefined;
  const kind = collection === 'accounts' ? 'account' : 'organization';
  for (const [form, named] of kind === 'account' ? accountForms : organizationForms) {
    const match = form.exec(tail);
    if (match !== null) return decoded({ operation: named, source: { kind, id }, entryId: match[1] });
  }
  return undefined;
}

function decoded({ operation, source, entryId }: Route & { readonly source: SourceRef }): Route | undefined {
  try {
    const entry = entryId === undefined ? undefined : decodeURIComponent(entryId);
    return { operation, source: { ...source, id: decodeURIComponent(source.id) }, entryId: entry };
  } catch {
    return undefined;
  }
}

/** 32 hexadecimal digits, or a UUID of 36 characters. */
const isIdentifier = (text: string): boolean => /^[0-9a-f]{32}$|^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);

/** Whatever a client wrote there. */
export function splitTarget(target = '/'): { path: string; query: URLSearchParams } {
  const [, path = '', search = ''] = /^([^?]*)\??(.*)$/s.exec(target) ?? [];
  return { path, query: new URLSearchParams(search) };
}

/** Undefined if longer than `limitBytes`; it is then read and dropped. */
export async function readBody(request: IncomingMessage, limitBytes = 1_048_576): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length <= limitBytes) chunks.push(chunk);
  }
  return length > limitBytes ? undefined : Buffer.concat(chunks).toString();
}

export interface RequestRecord {
  /** By the simulator's clock. Milliseconds since the epoch. */
  readonly timeMs: number;
  /** End of the response or connection. Milliseconds since the epoch. */
  endedMs?: number;
  readonly method: string;
  /** The Host header tells clients apart that know this server by different names. */
  readonly host: string;
  /** As sent. */
  readonly path: string;
  /** 0 without a status (`hung`, `connection_reset`, a client that had gone). */
  readonly status: number;
  /** Fingerprint; `none` without a credential. */
  readonly credential: string;
  /** Whose budget counts it: `user:` and an e-mail address, or `token:` and the fingerprint. */
  readonly owner: string;
  /** On the wire, or in place of an answer; faults of paging and content are in the body. */
  readonly wireFault?: string;
}

const kept = 10_000;

export class RequestLog {
  readonly #records: RequestRecord[] = [];
  readonly #listeners = new Set<(record: RequestRecord) => void>();
  #total = 0;

  get total(): number {
    return this.#total;
  }

  add(record: RequestRecord): void {
    this.#records[this.#total++ % kept] = record;
    for (const listener of this.#listeners) listener(record);
  }

  records(): RequestRecord[] {
    const head = this.#total % kept;
    return this.#total <= kept ? [...this.#records] : [...this.#records.slice(head), ...this.#records.slice(0, head)];
  }

  /** Returns what ends that. */
  onRequest(listener: (record: RequestRecord) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
