import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';

const bundle = fileURLToPath(new URL('../../../dist/orgtrail.js', import.meta.url));

// biome-ignore lint/suspicious/noExplicitAny: answers are JSON of many forms
type Body = any;

interface Connected extends AsyncDisposable {
  readonly client: Client;
  stderr(): string;
  call(name: string, args?: Record<string, unknown>): Promise<{ isError: boolean; text: string; body: Body }>;
}

/** A real `orgtrail mcp`, as a model's program starts it. */
export const connect = async (url: string, ...args: string[]): Promise<Connected> => {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [bundle, 'mcp', ...args],
    env: { DATABASE_URL: url },
    stderr: 'pipe',
  });
  const errors: string[] = [];
  transport.stderr?.on('data', (chunk: Buffer) => errors.push(chunk.toString('utf8')));
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(transport);
  return {
    client,
    stderr: () => errors.join(''),
    call: async (name, asked = {}) => {
      const { isError = false, content } = await client.callTool({ name, arguments: asked });
      const [{ text }] = content as [{ text: string }];
      return { isError: isError === true, text, body: isError === true ? undefined : JSON.parse(text) };
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
};
