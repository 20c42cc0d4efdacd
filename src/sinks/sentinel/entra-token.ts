import { readFileSync } from 'node:fs';
import type { TokenCredential } from '@azure/identity';
import type { ReasonText } from '../http/reason-text.ts';
import { clouds, type SentinelSettings } from './settings.ts';

/** No token: the message can be shown as a reason. */
export class NoToken extends Error {
  override readonly name = 'NoToken';
}

export interface EntraTokens {
  /** One that is valid now. Rejects with NoToken, or with the reason of `signal`. */
  get(signal: AbortSignal): Promise<string>;
  /** The receiver does not accept the token that it was sent: the next one is a new one. */
  drop(): void;
}

/** Tokens of Microsoft Entra for the Logs Ingestion API, kept for as long as they are valid. */
export const createEntraTokens = (settings: SentinelSettings, reasonText: ReasonText): EntraTokens => {
  const { cloud, client_secret: secret, timeout: timeoutMs } = settings;
  let credential: Promise<TokenCredential> | undefined;
  return {
    get: async (signal) => {
      try {
        credential ??= openCredential(settings);
        const timeout = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
        const token = await (await credential).getToken(clouds[cloud].scope, { abortSignal: timeout });
        if (token === null) throw new Error('none was given');
        return token.token;
      } catch (error) {
        signal.throwIfAborted();
        const check =
          secret === undefined
            ? 'client_id, and that the machine has a managed identity'
            : 'tenant_id, client_id and client_secret';
        // The ids of the request come behind the first line.
        const why = (error instanceof Error ? error.message : String(error)).split(/\r?\n/)[0] ?? '';
        throw new NoToken(reasonText(`no token of Microsoft Entra: check ${check}: ${why}`));
      }
    },
    drop: () => {
      credential = undefined;
    },
  };
};

/** The library is loaded with the first delivery: it has 0.9 MB, and most processes have no such sink. */
const openCredential = async (settings: SentinelSettings): Promise<TokenCredential> => {
  const {
    tenant_id: tenantId,
    client_id: clientId,
    client_secret: secret,
    authority,
    ca_file: caFile,
    cloud,
  } = settings;
  const { ClientSecretCredential, ManagedIdentityCredential } = await import('@azure/identity');
  // The delivery is retried as a whole, with pauses that grow.
  const retryOptions = { maxRetries: 0 };
  if (secret === undefined || tenantId === undefined || clientId === undefined) {
    const options = { retryOptions };
    return clientId === undefined
      ? new ManagedIdentityCredential(options)
      : new ManagedIdentityCredential({ clientId, ...options });
  }
  return new ClientSecretCredential(tenantId, clientId, secret, {
    retryOptions,
    authorityHost: authority ?? clouds[cloud].authority,
    // Another authority than Microsoft's has no entry in Microsoft's list.
    disableInstanceDiscovery: authority !== undefined,
    ...(caFile !== undefined && { tlsOptions: { ca: readFileSync(caFile, 'utf8') } }),
  });
};
