import { OrgtrailError } from '../../errors.ts';

/** How Cloudflare knows the caller: an API token, or the account email with the Global API Key. */
export type Credential =
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'key'; readonly email: string; readonly key: string };

/** One of several credentials, and what it is for. */
export interface NamedCredential {
  readonly name: string;
  readonly credential: Credential;
  /** Requests in any 5 minutes of the one whom it is counted for; of several credentials of one user the smallest counts. */
  readonly budget: number;
  /** What it is used for: all of them, none, or these ids. */
  readonly accounts: boolean | readonly string[];
  readonly organizations: boolean | readonly string[];
}

/** The same while its secret may be renewed. */
export interface LiveCredential extends Omit<NamedCredential, 'credential'> {
  readonly source: CredentialSource;
}

/** The credential as it is now. */
export interface CredentialSource {
  /** The same object until it is renewed. */
  current(): Credential;
  /** Looks whether there is a newer one. True when `current` now gives it. */
  refresh(): boolean;
}

/** A credential by itself is one that is never renewed. */
export const sourceOfCredential = (credential: Credential | CredentialSource): CredentialSource =>
  'current' in credential ? credential : { current: () => credential, refresh: () => false };

/**
 * The headers that carry the credential. They belong in a request and nowhere else.
 *
 * Throws OrgtrailError `configuration` when a header cannot carry it, as with a line break inside, without quoting it.
 */
export function credentialHeaders(credential: Credential): Record<string, string> {
  const headers: Record<string, string> =
    credential.kind === 'token'
      ? { authorization: `Bearer ${credential.token}` }
      : { 'x-auth-email': credential.email, 'x-auth-key': credential.key };
  if (secretsOf(credential).some((secret) => secret === '' || /[^\x20-\x7e]/.test(secret))) {
    throw new OrgtrailError('configuration', 'The Cloudflare credential is empty or cannot be sent in a header.', {
      hint: 'It must be plain printable ASCII, on one line: look for a line break, a typographic quote or a space that came with a copy.',
    });
  }
  return headers;
}

/** Text from outside (a proxy's error page, say, that quotes the request) with the credential made unreadable. */
export type Redact = (text: string) => string;

export function createRedact(credential: Credential): Redact {
  const secrets = secretsOf(credential);
  return (text) => secrets.reduce((rest, secret) => rest.replaceAll(secret, '[redacted]'), text);
}

function secretsOf(credential: Credential): readonly string[] {
  return credential.kind === 'token' ? [credential.token] : [credential.key, credential.email];
}
