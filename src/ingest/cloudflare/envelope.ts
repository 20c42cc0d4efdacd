import { z } from 'zod';
import { ApiError } from '../../errors.ts';
import { faultIn } from '../entries/page-envelope.ts';
import type { CloudflareClient } from './client.ts';
import type { ApiRequest } from './wire/request.ts';

/** Cloudflare's envelope, of a success that names no error. */
export interface Envelope {
  readonly result: unknown;
  /** The token of the next page; undefined at the end, which is spelled in three ways. */
  readonly nextPageToken: string | undefined;
  /** How many items a listing has in all; undefined if it does not say. */
  readonly totalCount: number | undefined;
}

const count = z.number().optional().catch(undefined);
const schema = z.object({
  success: z.unknown().optional(),
  errors: z.unknown().optional(),
  error: z.unknown().optional(),
  result: z.unknown().optional(),
  result_info: z
    .object({
      errors: z.unknown().optional(),
      next_page_token: z.string().nullish(),
      total_count: count,
      total_size: count,
    })
    .nullish(),
});

/**
 * GETs and decodes. The body is read inside the attempt, so that a page of HTML is asked for again.
 *
 * @param read makes `T` from the envelope; throws ApiError `unreadable` when it cannot
 */
export async function getEnvelope<T>(
  client: Pick<CloudflareClient, 'get'>,
  request: Omit<ApiRequest<T>, 'decode'>,
  read: (envelope: Envelope) => T,
): Promise<T> {
  return await client.get({ ...request, decode: ({ text }) => read(readEnvelope(text, request.path)) });
}

function readEnvelope(text: string, path: string): Envelope {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // JSON.parse quotes the text in its message; the body stays out of ours.
    throw new ApiError('unreadable', `GET ${path}: the response is not JSON`);
  }
  const envelope = schema.safeParse(json);
  if (!envelope.success) throw new ApiError('unreadable', `GET ${path}: the response has no envelope of Cloudflare's`);
  const fault = faultIn(envelope.data);
  if (fault !== undefined) throw new ApiError('unreadable', `GET ${path}: the response ${fault}`);
  const { next_page_token, total_count, total_size } = envelope.data.result_info ?? {};
  return {
    result: envelope.data.result,
    nextPageToken: next_page_token || undefined,
    totalCount: total_count ?? total_size,
  };
}
