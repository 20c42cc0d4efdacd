const readsOnly = '-c default_transaction_read_only=on';

/**
 * The URL of the same database whose sessions begin read-only, whatever the account may do. It takes a startup parameter, which pgbouncer
 * refuses in its own default settings: then nothing is connected.
 */
export const readOnlyUrl = (text: string): string => {
  const url = new URL(text);
  const given = url.searchParams.get('options');
  url.searchParams.set('options', given === null ? readsOnly : `${given} ${readsOnly}`);
  return url.href;
};
