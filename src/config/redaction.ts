import { databasePasswords } from '../postgres/database-url.ts';
import { secretsOfSink } from '../sinks/redaction.ts';
import type { Config } from './config.ts';

/** Everything of the configuration that no output may hold: the log blanks it should it turn up in a message. */
export const secretsOf = (config: Config): string[] => {
  const secrets: (string | undefined)[] = [config.http.feedToken];
  for (const { credential } of config.credentials) {
    secrets.push(...(credential.kind === 'token' ? [credential.token] : [credential.key, credential.email]));
  }
  for (const { settings } of config.sinks) secrets.push(...secretsOfSink(settings));
  const { secretKey, environment } = config.evidence?.s3 ?? {};
  secrets.push(secretKey, environment?.['AWS_SECRET_ACCESS_KEY'], environment?.['AWS_SESSION_TOKEN']);
  const { s3: archive } = config.archive ?? {};
  secrets.push(
    archive?.secretKey,
    archive?.environment['AWS_SECRET_ACCESS_KEY'],
    archive?.environment['AWS_SESSION_TOKEN'],
  );
  if (config.databaseUrl !== undefined) secrets.push(...databasePasswords(config.databaseUrl));
  return secrets.filter((secret): secret is string => secret !== undefined && secret !== '');
};
