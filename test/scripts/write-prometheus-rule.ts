// Writes the PrometheusRule of deploy/kubernetes from deploy/prometheus/rules.yml. `npm run rules:update`; a test compares.
import { writeFileSync } from 'node:fs';
import { prometheusRuleFile, prometheusRuleText } from '../support/deploy/kubernetes-rules.ts';

writeFileSync(prometheusRuleFile, prometheusRuleText());
