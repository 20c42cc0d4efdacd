import type { z } from 'zod';
import type { Config } from '../../config/config.ts';
import type { Pool } from '../../postgres/pool.ts';
import type { SearchSource } from '../../search/ports.ts';

/** Is called for each call of a tool. Neither throws nor waits. */
export type NoteCall = (tool: string, what: Readonly<Record<string, unknown>>, events: number | undefined) => void;

/** What tools answer from. Its sessions are read-only. */
export interface ToolContext {
  readonly source: SearchSource;
  readonly pool: Pool;
  readonly config: Config;
}

/** What a tool gives, and how many events it gave, for the trail of access. */
interface ToolResult {
  readonly body: unknown;
  readonly events?: number;
}

export interface Tool<Input extends z.ZodObject = z.ZodObject> {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly input: Input;
  answer(context: ToolContext, asked: z.infer<Input>, signal: AbortSignal): Promise<ToolResult>;
}

/** Infers the input of a tool. */
export const tool = <Input extends z.ZodObject>(one: Tool<Input>): Tool => one as unknown as Tool;
