import type { Served } from '../sync/served.ts';

/** Signs in to the console with a token, as a browser at this address does; gives the cookie of the session. */
export const signInAt = async ({ server: { url } }: Served, token: string, address?: string): Promise<string> => {
  const answer = await fetch(`${url}/console/sign-in`, {
    method: 'POST',
    body: new URLSearchParams({ token, next: '/' }),
    redirect: 'manual',
    headers: { origin: url, ...(address !== undefined && { 'x-forwarded-for': address }) },
  });
  return answer.headers.getSetCookie()[0]?.split(';')[0] ?? '';
};
