import { kindOf, type SinkSettings } from './registry.ts';

/** Shorter ones would blank out ordinary words. */
const MIN_SECRET_LENGTH = 6;

/** The parts of a sink's settings that no output may hold, also in the forms in which they go over the wire. */
export const secretsOfSink = (settings: SinkSettings): string[] => {
  const { secrets, derivedSecrets } = kindOf(settings);
  const values: Readonly<Record<string, unknown>> = { ...settings };
  const given = secrets.map((name) => values[name]).filter((secret) => typeof secret === 'string');
  return [...given, ...derivedSecrets(settings)].filter((secret) => secret.length >= MIN_SECRET_LENGTH);
};

/** Takes these secrets out of what a receiver says: it may repeat what it was sent. */
export const redactorOf = (settings: SinkSettings): ((text: string) => string) => {
  const secrets = secretsOfSink(settings);
  return (text) => secrets.reduce((rest, secret) => rest.replaceAll(secret, '[redacted]'), text);
};
