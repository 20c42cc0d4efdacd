import { cut } from '../../formats/plain-text.ts';
import { type Message, worstOf } from '../people/message.ts';

/** So that a finding with the longest texts still is a message. */
const MAX_TEXT = 2_000;

const colors: Readonly<Record<string, string>> = { critical: 'attention', high: 'attention', medium: 'warning' };

/** Runs of text, which are shown as they are: a text block would read Markdown in it. */
const text = (runs: readonly (readonly [string, object])[], more: object = {}) => ({
  type: 'RichTextBlock',
  inlines: runs.map(([content, style]) => ({ type: 'TextRun', text: content, ...style })),
  ...more,
});

const itemsOf = ({ title, severity, place, summary, facts, link }: Message): object[] => {
  const color = colors[severity] ?? 'default';
  const said = facts.map(([name, value]) => `${name}: ${cut(value, 300)}`).join(' · ');
  return [
    text(
      [
        [`${cut(severity.toUpperCase(), 50)} · `, { weight: 'bolder', color }],
        [cut(title, 200), { weight: 'bolder' }],
        [` · ${cut(place, 300)}`, {}],
      ],
      { separator: true },
    ),
    text([[cut(summary, MAX_TEXT), {}]]),
    text([[said, { isSubtle: true, size: 'small' }]]),
    ...(link === undefined
      ? []
      : [{ type: 'ActionSet', actions: [{ type: 'Action.OpenUrl', title: 'Open in the console', url: link }] }]),
  ];
};

/** The body of a request that starts a workflow "when a Teams webhook request is received": a message with one adaptive card. */
export const teamsMessage = (messages: readonly Message[]): string => {
  const headline = `orgtrail: ${messages.length} findings, ${worstOf(messages)} at most`;
  const head = messages.length > 1 ? [text([[headline, { weight: 'bolder', size: 'medium' }]])] : [];
  const content = {
    $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
    type: 'AdaptiveCard',
    version: '1.4',
    msteams: { width: 'Full' },
    body: [...head, ...messages.flatMap(itemsOf)],
  };
  const contentType = 'application/vnd.microsoft.card.adaptive';
  return JSON.stringify({ type: 'message', attachments: [{ contentType, contentUrl: null, content }] });
};
