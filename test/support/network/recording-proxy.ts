import { createServer } from 'node:http';
import { listen } from './listen.ts';

/** An answer as it went to the client. */
export interface RecordedAnswer {
  readonly path: string;
  readonly status: number;
  readonly date: string | null;
  readonly cfRay: string | null;
  readonly body: Buffer;
}

export interface RecordingProxy extends AsyncDisposable {
  readonly baseUrl: string;
  readonly answers: readonly RecordedAnswer[];
  /** From now on, answers go to the client without these headers. */
  strip(...names: readonly string[]): void;
}

/** Stands between a client and an API, on a real socket, and keeps every answer. */
export const startRecordingProxy = async (target: string): Promise<RecordingProxy> => {
  const { origin, pathname } = new URL(target);
  const answers: RecordedAnswer[] = [];
  let stripped: readonly string[] = [];
  const server = createServer(async (request, response) => {
    const path = request.url ?? '/';
    const { authorization = '' } = request.headers;
    const answer = await fetch(origin + path, { headers: { authorization } });
    const body = Buffer.from(await answer.arrayBuffer());
    const headers = [...answer.headers].filter(
      ([name]) => !stripped.includes(name) && !['connection', 'keep-alive', 'transfer-encoding'].includes(name),
    );
    const headerOf = (name: string) => headers.find(([one]) => one === name)?.[1] ?? null;
    answers.push({ path, status: answer.status, date: headerOf('date'), cfRay: headerOf('cf-ray'), body });
    response.sendDate = false;
    response.writeHead(answer.status, Object.fromEntries(headers)).end(body);
  });
  const listening = await listen(server);
  return {
    ...listening,
    baseUrl: `http://127.0.0.1:${listening.port}${pathname}`,
    answers,
    strip: (...names) => {
      stripped = names;
    },
  };
};
