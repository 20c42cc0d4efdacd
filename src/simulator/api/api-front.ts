import { hash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AccountsApi } from '../accounts/accounts-api.ts';
import type { AuditApi } from '../audit/audit-api.ts';
import type { ResourceHistory } from '../audit/resource-history.ts';
import type { FaultName } from '../faults/fault-catalogue.ts';
import type { Occasion } from '../faults/fault-plan.ts';
import {
  type Interruption,
  interruption,
  pause,
  sendCutOff,
  sendSlowly,
  staySilent,
  tooManyRequests,
} from '../faults/wire-faults.ts';
import type { World } from '../world/world.ts';
import type { Access } from './access.ts';
import type { ApiCall } from './api-call.ts';
import { type AcceptedCredential, admit, type Caller } from './credentials.ts';
import type { OrganizationsApi } from './organizations-api.ts';
import type { RateLimit } from './rate-limit.ts';
import { errorReply, type Reply, type Silence, unroutable } from './reply.ts';
import type { RequestLog, RequestRecord } from './request-log.ts';
import { readBody, splitTarget } from './request-reading.ts';
import { isIdentifier, type Route, routeOf } from './routes.ts';

interface Parts {
  readonly world: World;
  readonly access: Access;
  readonly audit: AuditApi;
  readonly history: ResourceHistory;
  readonly accounts: AccountsApi;
  readonly organizations: OrganizationsApi;
  readonly rateLimit: RateLimit;
  readonly requests: RequestLog;
  readonly acceptedCredentials: readonly AcceptedCredential[] | undefined;
}

/** One request on its way to an answer. */
interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly arrivedMs: number;
  /** When it is answered: later than it arrived only if a fault holds it up. */
  readonly timeMs: number;
  readonly caller: Caller;
  readonly ratelimit: Readonly<Record<string, string>>;
}

/**
 * The front of the simulated API: credential, budget, routing, permissions, faults of the wire, request log. Faults are decided per
 * admitted request, in order of arrival.
 */
export class ApiFront {
  readonly #parts: Parts;
  #admitted = 0;
  #answered = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Answers one request, whatever it is. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { world, rateLimit, acceptedCredentials } = this.#parts;
    const timeMs = world.nowMs();
    const { caller, refusal: refused } = admit(request.headers, acceptedCredentials, world.accounts);
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
    const occasion: Occasion = {
      number: this.#admitted++,
      operation,
      ...(source === undefined ? {} : { source }),
    };
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
    const { access, audit, history, accounts } = this.#parts;
    const { request, caller } = exchange;
    const { operation, source, entryId } = route;
    const method = request.method ?? 'GET';
    const call: ApiCall = { method, operation, source, entryId, query, caller, occasion };
    const refused = access.refusal(call);
    if (refused !== undefined) return refused;
    if (operation === 'organizations' || operation === 'organization' || operation === 'profile') {
      return this.#ofOrganizations(request, call);
    }
    if (method !== 'GET') return errorReply(405, 10405, 'Method not allowed');
    if (operation === 'audit' && source !== undefined) return audit.list(source, query, occasion);
    if (operation === 'history' && source !== undefined) return history.list(source, entryId ?? '', query);
    return accounts.handle(call);
  }

  async #ofOrganizations(request: IncomingMessage, call: ApiCall): Promise<Reply> {
    const body = await readBody(request);
    if (body === undefined) return errorReply(413, 1005, 'The body is too large');
    return this.#parts.organizations.handle({
      method: call.method,
      url: request.url ?? '/',
      query: call.query,
      organizationId: call.source?.id,
      isProfile: call.operation === 'profile',
      body,
      caller: call.caller,
      userAgent: request.headers['user-agent'] ?? '',
      occasion: call.occasion,
    });
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
    // Recorded before the last byte leaves: who has read the answer finds its request in the log.
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

/** What names a request at Cloudflare: 64 bits, and the data center that answered. */
function rayOf(seed: number, number: number): string {
  return `${hash('sha256', `ray ${seed} ${number}`).slice(0, 16)}-FRA`;
}

function bodyHeaders(reply: Reply, body: Buffer): Record<string, string | number> {
  return { 'Content-Type': reply.contentType ?? 'application/json', 'Content-Length': body.length };
}
