/**
 * Cursors and page tokens: JSON behind URL-safe base64 with padding, as Cloudflare's look. Opaque to clients, not secret.
 */
export function encodeToken(content: unknown): string {
  return Buffer.from(JSON.stringify(content)).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}

/** The content, or undefined when the token was not made by `encodeToken`. */
export function decodeToken(token: string): Record<string, unknown> | undefined {
  if (!/^[A-Za-z0-9_-]+={0,2}$/.test(token)) return undefined;
  try {
    const content: unknown = JSON.parse(Buffer.from(token, 'base64url').toString());
    return typeof content === 'object' && content !== null ? (content as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
