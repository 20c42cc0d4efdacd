import { readdirSync, readFileSync } from 'node:fs';

/** A dashboard of deploy/grafana, as far as tests look at it. */
export interface Dashboard {
  readonly file: string;
  readonly uid: string;
  readonly title: string;
  readonly schemaVersion: number;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly Variable[] };
  readonly links: readonly { readonly url: string }[];
}

interface DataSource {
  readonly type: string;
  readonly uid: string;
}

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: DataSource;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string; readonly thresholds?: unknown } };
  readonly targets?: readonly Target[];
}

interface Target {
  readonly refId: string;
  readonly datasource: DataSource;
  readonly expr?: string;
  readonly legendFormat?: string;
  readonly rawSql?: string;
}

interface Variable {
  readonly name: string;
  readonly type: string;
  readonly datasource?: DataSource;
  readonly query: unknown;
  readonly current: unknown;
}

const directory = new URL('../../../deploy/grafana/dashboards/', import.meta.url);

/** All dashboards of deploy/grafana. */
export const readDashboards = (): readonly Dashboard[] =>
  readdirSync(directory).map((file) => ({ ...JSON.parse(readFileSync(new URL(file, directory), 'utf8')), file }));

/** A query of a dashboard as Grafana would send it. */
export interface DashboardQuery {
  readonly panel: string;
  readonly text: string;
}

/** Every PromQL expression, for the job `orgtrail`. */
export const promQueries = (): readonly DashboardQuery[] =>
  readDashboards().flatMap(({ file, panels }) =>
    panels.flatMap(({ title, targets = [] }) =>
      targets.flatMap(({ expr }) =>
        expr === undefined ? [] : [{ panel: `${file}: ${title}`, text: expr.replaceAll('$job', 'orgtrail') }],
      ),
    ),
  );

/** Every SQL statement, those of variables included, with Grafana's macros and these values of the variables filled in. */
export const sqlQueries = (values: Readonly<Record<string, string>>): readonly DashboardQuery[] =>
  readDashboards().flatMap(({ file, panels, templating }) => {
    const ofPanels = panels.flatMap(({ title, targets = [] }) =>
      targets.flatMap(({ rawSql }) => (rawSql === undefined ? [] : [{ panel: `${file}: ${title}`, text: rawSql }])),
    );
    const ofVariables = templating.list.flatMap(({ name, type, datasource, query }) =>
      type === 'query' && datasource?.type === 'postgres'
        ? [{ panel: `${file}: variable ${name}`, text: String(query) }]
        : [],
    );
    return [...ofPanels, ...ofVariables].map((each) => ({ ...each, text: expanded(each.text, values) }));
  });

const expanded = (sql: string, values: Readonly<Record<string, string>>): string =>
  sql
    .replace(/\$__timeFilter\((\S+?)\)/g, "$1 BETWEEN now() - interval '90 days' AND now()")
    .replace(/\$__timeGroupAlias\((\S+?), \$__interval\)/g, 'floor(extract(epoch from $1)/3600)*3600 AS "time"')
    .replace(/\$\{(\w+):sqlstring\}/g, (_, name: string) => `'${(values[name] ?? '').replaceAll("'", "''")}'`);
