/**
 * Where to go on within the console, from what a form or a link says: a path of this server, or `/`. Never an address of
 * another one, however it is written (`//host`, `/\host`, a scheme, control characters that browsers drop).
 */
export const nextAddress = (wanted: unknown): string => {
  if (typeof wanted !== 'string' || !/^\/[\x21-\x7e]*$/.test(wanted) || /^\/[/\\]/.test(wanted)) return '/';
  const base = 'http://console.invalid';
  if (!URL.canParse(wanted, base)) return '/';
  const url = new URL(wanted, base);
  if (url.origin !== base || url.pathname.startsWith('//') || url.pathname.startsWith('/console/')) return '/';
  return `${url.pathname}${url.search}`;
};
