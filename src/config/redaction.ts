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
  secrets.push(config.evidence?.s3.secretKey, config.archive?.s3.secretKey);
  const signsForAmazon =
    config.evidence !== undefined ||
    config.archive !== undefined ||
    config.sinks.some(({ settings }) => settings.type === 's3');
  if (signsForAmazon) secrets.push(config.aws['AWS_SECRET_ACCESS_KEY'], config.aws['AWS_SESSION_TOKEN']);
  if (config.databaseUrl !== undefined) secrets.push(...databasePasswords(config.databaseUrl));
  return secrets.filter((secret): secret is string => secret !== undefined && secret !== '');
};
