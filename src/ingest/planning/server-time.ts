/** How far Cloudflare's clock may be ahead of the database's. */
export const MAX_AHEAD_MS = 60_000;

/**
 * What time it is, of what a server said and the clock of the database, in milliseconds since 1970. A server that is further ahead is not
 * believed: time that has yet to come would be taken for read. One that is behind is believed: that costs delay and nothing else.
 */
export const credibleNow = (serverMs: number, databaseMs: number): number =>
  serverMs > databaseMs + MAX_AHEAD_MS ? databaseMs : serverMs;
