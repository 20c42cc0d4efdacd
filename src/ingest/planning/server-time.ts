/** How far Cloudflare's clock may be ahead of the database's. */
export const MAX_AHEAD_MS = 60_000;

/**
 * What time it is, of what a server said and the clock of the database, in milliseconds since 1970. A server that is further ahead is not
 * believed: future time would count as read. One that is behind is believed: that costs only delay.
 */
export const credibleNow = (serverMs: number, databaseMs: number): number =>
  serverMs > databaseMs + MAX_AHEAD_MS ? databaseMs : serverMs;
