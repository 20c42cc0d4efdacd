import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { readRuleFile } from './prometheus-rules.ts';

export const prometheusRuleFile = fileURLToPath(
  new URL('../../../deploy/kubernetes/components/prometheus-operator/prometheusrule.yaml', import.meta.url),
);

const head = `# The rules of deploy/prometheus/rules.yml for the Prometheus Operator. Generated: do not edit.
# npm run generate writes it; a test compares.
`;

/** What `prometheusRuleFile` has to hold. */
export const prometheusRuleText = (): string => {
  const metadata = { name: 'orgtrail', labels: { 'app.kubernetes.io/name': 'orgtrail' } };
  const rule = { apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule', metadata, spec: readRuleFile() };
  return head + stringify(rule, { lineWidth: 120 });
};
