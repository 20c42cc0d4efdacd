// Writes the software bill of materials of the packages in the bundle, as orgtrail-VERSION.cdx.json (CycloneDX). `npm run sbom`, or with
// another folder as its argument.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import manifest from '../package.json' with { type: 'json' };
import { makeSbom } from './sbom.ts';

const file = join(process.argv[2] ?? '.', `orgtrail-${manifest.version}.cdx.json`);
const sbom = makeSbom();
writeFileSync(file, `${JSON.stringify(sbom, null, 2)}\n`);
console.log(`${file}: ${sbom.components.length} packages`);
