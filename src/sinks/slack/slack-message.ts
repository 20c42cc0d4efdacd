import { cut } from '../../formats/plain-text.ts';
import { type Message, worstOf } from '../people/message.ts';

/** Of a text in a block. */
const MAX_TEXT = 3_000;
/** Of what notifications and readers of screens have. */
const MAX_FALLBACK = 3_000;

/** The three characters that Slack takes for its own: without them a text can mention no one and make no link. */
const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** Escaped, and so short that it fits: cut before it is escaped, so that no escape is cut in two. */
const fitting = (text: string, most: number): string => {
  let length = Math.min(text.length, most);
  while (length > 0 && escaped(cut(text, length)).length > most) length = Math.floor(length * 0.9);
  return length > 0 ? escaped(cut(text, length)) : '';
};

/** Verbatim: Slack makes no links and no names of what looks like them. */
const markdown = (text: string) => ({ type: 'mrkdwn', text, verbatim: true });

const blocksOf = ({ title, severity, place, summary, facts, link }: Message): object[] => {
  const head = `*${fitting(severity.toUpperCase(), 50)}* · *${fitting(title, 200)}* · ${fitting(place, 300)}`;
  const more = link === undefined ? '' : `\n<${escaped(link)}|Open in the console>`;
  const text = `${head}\n${fitting(summary, MAX_TEXT - head.length - more.length - 1)}${more}`;
  const said = facts.map(([name, value]) => `${name}: ${fitting(value, 300)}`).join(' · ');
  return [
    { type: 'section', text: markdown(text) },
    { type: 'context', elements: [markdown(said)] },
  ];
};

/** The body of a call of an incoming webhook. */
export const slackMessage = (messages: readonly Message[]): string => {
  const [first] = messages;
  const isDigest = messages.length > 1;
  const headline = isDigest
    ? `orgtrail: ${messages.length} findings, ${worstOf(messages)} at most`
    : `orgtrail: ${first?.severity} · ${first?.title} · ${first?.place}: ${first?.summary}`;
  const head = isDigest ? [{ type: 'section', text: markdown(`*${escaped(headline)}*`) }] : [];
  return JSON.stringify({ text: fitting(headline, MAX_FALLBACK), blocks: [...head, ...messages.flatMap(blocksOf)] });
};
