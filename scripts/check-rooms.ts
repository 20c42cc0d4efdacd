import { readPlan, sourceFolder } from './documents/generated.ts';
import { readImports, sourceFiles } from './rooms/imports.ts';
import { violations } from './rooms/rules.ts';

// `npm run check`: whether src keeps to rooms.json.
const found = violations(readPlan(), sourceFiles(sourceFolder), readImports(sourceFolder));
for (const violation of found) console.error(`rooms: ${violation}`);
process.exitCode = found.length === 0 ? 0 : 1;
