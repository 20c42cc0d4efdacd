import { startHttpReceiver } from './http-receiver.ts';

/** Of an application that may ask for tokens. */
export const entraApplication = {
  tenant_id: '3f1e1f0a-6f1b-4c37-9a55-0c5d8c9a1b01',
  client_id: '7c0d3a52-8d5e-4b0a-9a39-5f0e2f4b6c02',
  client_secret: 'Qx8~secret+of/the=application',
} as const;

export interface EntraAuthority extends AsyncDisposable {
  /** Settings of a sink that asks it. */
  readonly settings: Readonly<Record<string, string>>;
  /** Every token that it gave. */
  readonly tokens: readonly string[];
  isValid(authorization: string | undefined): boolean;
  /** No token that was given is valid any more. */
  revoke(): void;
}

const json = (status: number, body: unknown) => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});

/** Gives tokens as Microsoft Entra does, over TLS, to the one application that it knows. */
export const startEntraAuthority = async (): Promise<EntraAuthority> => {
  const { tenant_id: tenant, ...application } = entraApplication;
  const tokens: string[] = [];
  let valid = new Set<string>();
  const server = await startHttpReceiver(
    {
      received: () => [],
      handle: ({ path, body }) => {
        if (path.startsWith(`/${tenant}/v2.0/.well-known/openid-configuration`)) {
          return json(200, {
            issuer: `${server.url}/${tenant}/v2.0`,
            authorization_endpoint: `${server.url}/${tenant}/oauth2/v2.0/authorize`,
            jwks_uri: `${server.url}/${tenant}/discovery/v2.0/keys`,
            token_endpoint: `${server.url}/${tenant}/oauth2/v2.0/token`,
          });
        }
        if (!path.startsWith(`/${tenant}/oauth2/v2.0/token`))
          return json(400, { error: 'invalid_tenant', error_description: `AADSTS90002: Tenant '${path}' not found.` });
        const asked = new URLSearchParams(body);
        if (
          asked.get('client_id') !== application.client_id ||
          asked.get('client_secret') !== application.client_secret
        )
          return json(401, {
            error: 'invalid_client',
            error_description: `AADSTS7000215: Invalid client secret provided, which was ${asked.get('client_secret')}.`,
          });
        if (asked.get('scope')?.includes('https://monitor.azure.com/.default') !== true)
          return json(400, { error: 'invalid_scope', error_description: 'AADSTS70011: The scope is not valid.' });
        const token = `eyJ0.token-${tokens.length + 1}.c2ln`;
        tokens.push(token);
        valid.add(token);
        return json(200, { token_type: 'Bearer', expires_in: 3_599, access_token: token });
      },
    },
    { tls: true },
  );
  return {
    settings: { ...entraApplication, authority: server.url, ca_file: server.caFile ?? '' },
    tokens,
    isValid: (authorization) => valid.has(authorization?.replace(/^Bearer /, '') ?? ''),
    revoke: () => {
      valid = new Set();
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
};
