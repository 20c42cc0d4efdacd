/** Reasons stand in the database, in `status` and in the log. */
const MAX_REASON_LENGTH = 300;

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
const unprintable = /[\s\u0000-\u001f\u007f-\u009f\p{Bidi_Control}\p{Zl}\p{Zp}]+/gu;

/** Makes a reason of text that others wrote. */
export type ReasonText = (text: string) => string;

/**
 * One short line of printable text, without what a receiver may have echoed: the `secrets`, also as JSON and URLs write them.
 * Used by the sinks that speak HTTP for every reason that they give.
 */
export const createReasonText = (secrets: readonly string[]): ReasonText => {
  const forms = secrets.flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)]);
  // The longest first: a part that is cut out of it would leave the rest.
  const hidden = [...new Set(forms)].filter((form) => form !== '').sort((a, b) => b.length - a.length);
  return (text) => {
    const redacted = hidden.reduce((rest, form) => rest.replaceAll(form, '[redacted]'), text);
    const line = redacted.replace(unprintable, ' ').trim().toWellFormed();
    return line.length <= MAX_REASON_LENGTH ? line : `${line.slice(0, MAX_REASON_LENGTH - 1).toWellFormed()}…`;
  };
};
