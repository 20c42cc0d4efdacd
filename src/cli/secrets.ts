import type { Config } from '../config.ts';

/** Everything of the configuration that no output may hold: the log blanks it should it turn up in a message. */
export const secretsOf = (config: Config): string[] => {
  const secrets: (string | undefined)[] = [config.http.feedToken];
  if (config.credential?.kind === 'token') secrets.push(config.credential.token);
  if (config.credential?.kind === 'key') secrets.push(config.credential.key);
  if (config.databaseUrl !== undefined && URL.canParse(config.databaseUrl)) {
    const { password } = new URL(config.databaseUrl);
    secrets.push(password, decodeURIComponent(password));
  }
  return secrets.filter((secret): secret is string => secret !== undefined && secret !== '');
};
