/** What every route of the console has as its schema: pages are no part of the API's description. */
export const hidden = { hide: true };
