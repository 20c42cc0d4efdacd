import { existsSync } from 'node:fs';
import { packageFile } from '../../package/package-files.ts';

const source = packageFile('src/evidence/verify-bundle/verify.py');

/** Where verify.py is: beside its tests in a checkout, in dist/ in a package and in an image. */
export const verifierFile: string = existsSync(source) ? source : packageFile('dist/verify.py');
