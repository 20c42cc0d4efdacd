import { detectionTitle } from '../../../findings/finding.ts';
import { ruleNamed } from '../../../findings/rules.ts';
import { type Html, html } from '../html.ts';

export const DETECTIONS_PATH = '/detections';

/** Colour only for what matters. */
const states: Readonly<Record<string, string>> = { critical: 'failing', high: 'behind' };

export const severityMark = (severity: string): Html =>
  html`<span class="state state-${states[severity] ?? 'quiet'}">${severity}</span>`;

/** `API token changed`, with what it means as its title. */
export const ruleLink = (name: string): Html =>
  html`<a href="${DETECTIONS_PATH}?detection=${encodeURIComponent(name)}" title="${ruleNamed(name)?.what ?? ''}">${detectionTitle(name)}</a>`;

/** What a detection says of an event, where the event is shown. */
export const eventMark = ({ detection, severity }: { readonly detection: string; readonly severity: string }): Html =>
  html`<a class="mark mark-${severity in states ? 'defect' : 'changed'}" href="${DETECTIONS_PATH}?detection=${encodeURIComponent(detection)}" title="${severity}: ${ruleNamed(detection)?.what ?? ''}">detection: ${detectionTitle(detection)}</a>`;
