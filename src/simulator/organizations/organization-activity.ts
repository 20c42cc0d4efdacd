import { basePath, type OrganizationCall } from '../api/organization-call.ts';
import { timeText } from '../world/entry-text.ts';
import { draw, hex8 } from '../world/random.ts';

interface Activity {
  readonly call: OrganizationCall;
  /** Key of the ids of this entry. */
  readonly key: number;
  /** Id of the organization in whose log it stands. */
  readonly logOf: string;
  readonly what: string;
  readonly type: string;
  readonly timeMs: number;
  /** What the API answered with. */
  readonly status: number;
  readonly result: unknown;
}

/** The audit entry that a change through the API leaves. The request payload is the body byte for byte, if there is one. */
export function activityText({ call, key, logOf, what, type, timeMs, status, result }: Activity): string {
  const words = Array.from({ length: 6 }, (_, n) => hex8(draw(key, n)));
  const id = words.slice(0, 4).join('');
  const action = { description: what, result: 'success', time: timeText(timeMs), type };
  const raw = {
    cf_ray_id: words.slice(4).join(''),
    method: call.method,
    status_code: status,
    uri: call.url.replace(basePath, ''),
    user_agent: call.userAgent,
  };
  const response = { success: true, errors: [], messages: [], result };
  const resourceId = JSON.stringify(call.organizationId ?? logOf);
  const request = call.body === '' ? '{}' : call.body;
  return (
    `{"id":"${id}","action":${JSON.stringify(action)},"actor":${JSON.stringify(call.caller.actor)},` +
    `"organization":${JSON.stringify({ id: logOf })},"raw":${JSON.stringify(raw)},` +
    `"resource":{"id":${resourceId},"product":"organizations","request":${request},` +
    `"response":${JSON.stringify(response)},"scope":"organizations","type":"organization"}}`
  );
}
