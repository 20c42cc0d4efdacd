interface RequestUri {
  readonly path: string;
  readonly query: string | undefined;
  /** Only of an absolute URL; the host without user and port. */
  readonly scheme: string | undefined;
  readonly host: string | undefined;
  /** True when nothing of the text is missing in path and query, or when it is a whole URL. */
  readonly isWhole: boolean;
}

const form = /^(?:([a-z][a-z0-9+.-]*):\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?/i;

/** Takes `raw.uri` apart without decoding anything: the API logs a path mostly, sometimes a URL. */
export const readUri = (uri: string): RequestUri => {
  const [, scheme, authority, path = '', query] = form.exec(uri) ?? [];
  const host = authority?.replace(/^.*@/, '').replace(/:\d*$/, '');
  const written = path + (query === undefined ? '' : `?${query}`);
  return { path, query, scheme, host: host || undefined, isWhole: scheme !== undefined || written === uri };
};
