/**
 * The pictures of the console in the documentation: `npm run lab screenshots`. Starts a simulated Cloudflare and the real
 * daemon on the embedded PostgreSQL, lets some things go wrong, and writes docs/images/NAME-{light,dark}.png.
 * Names in the command line make those pages only.
 */
import { consolePictures, withConsoleWorld } from './console-pictures.ts';
import { guidePictures, withCaseWorld } from './guide-pictures.ts';
import { takePictures } from './picture.ts';

const wanted = process.argv.slice(2);
for (const [pictures, withWorld] of [
  [consolePictures, withConsoleWorld],
  [guidePictures, withCaseWorld],
] as const) {
  const chosen = wanted.length === 0 ? pictures : pictures.filter(({ name }) => wanted.includes(name));
  if (chosen.length > 0) await withWorld((world) => takePictures(world, chosen));
}
