import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { prometheusRuleText } from '../../test/support/deploy/kubernetes-rules.ts';
import { drawRooms } from '../rooms/drawing.ts';
import { readImports } from '../rooms/imports.ts';
import type { Plan } from '../rooms/rules.ts';
import { commandsPage } from './commands-page.ts';
import { exampleConfiguration } from './example-configuration.ts';
import { httpPage, openApi } from './http-page.ts';
import { invariantsPage } from './invariants-page.ts';
import { metricsPage } from './metrics-page.ts';
import { nativeSchema } from './native-schema.ts';
import { settingsPage } from './settings-page.ts';

const root = (path: string): URL => new URL(`../../${path}`, import.meta.url);

/** What rooms.json says. */
export const readPlan = (): Plan => JSON.parse(readFileSync(root('rooms.json'), 'utf8'));
export const sourceFolder: string = fileURLToPath(root('src'));

/** Each file that is made from the code, by its path in the checkout. */
export const generated: Readonly<Record<string, () => string | Promise<string>>> = {
  'deploy/kubernetes/components/prometheus-operator/prometheusrule.yaml': prometheusRuleText,
  'docs/architecture.svg': () => drawRooms(readPlan(), readImports(sourceFolder)),
  'docs/INVARIANTS.md': invariantsPage,
  'docs/reference/settings.md': settingsPage,
  'docs/reference/commands.md': commandsPage,
  'docs/reference/metrics.md': metricsPage,
  'docs/reference/http.md': httpPage,
  'docs/reference/openapi.json': async () => `${JSON.stringify(await openApi(), null, 2)}\n`,
  'docs/reference/native.schema.json': nativeSchema,
  'docs/orgtrail.example.yaml': exampleConfiguration,
};
