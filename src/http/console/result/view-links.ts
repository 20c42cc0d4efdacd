import { raw } from 'hono/html';
import type { Html } from '../html.ts';
import { printView, type ResultView } from './result-view.ts';

/**
 * A page whose links to searches and forms of them go on with its view. Quotes are escaped in all that `html` takes, so that nothing but
 * an attribute of a template looks like one.
 */
export const keepView = (body: Html, view: ResultView): Html => {
  const parameters = printView(view);
  if (parameters.size === 0) return body;
  const link = parameters.toString().replaceAll('&', '&amp;');
  const fields = [...parameters].map(([name, value]) => `<input type="hidden" name="${name}" value="${value}">`);
  return raw(
    body
      .toString()
      .replaceAll(/href="\/events(?:\?([^"]*))?"/g, (_, query?: string) =>
        query === undefined ? `href="/events?${link}"` : `href="/events?${query}&amp;${link}"`,
      )
      .replaceAll(/<form class="search panel"[^>]*>/g, (form) => `${form}${fields.join('')}`),
  );
};
