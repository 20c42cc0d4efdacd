/** All but line ends and tabs that a terminal would obey instead of showing, the marks that turn the direction of text included. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is escaped
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\p{Bidi_Control}]/gu;

/** Shows them as JSON escapes (so that a line of JSON stays one). For whatever comes from others and may reach a terminal. */
export const withoutControls = (text: string): string =>
  text.replace(controls, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
