import { nested } from '../sync/defective-entries.ts';

const attack = '<img src=x onerror=alert(1)><script>alert(2)</script>';
/** So young that the next turn reads them. */
export const makeSearchEntries = () => {
  const now = Date.now();
  const at = (secondsAgo: number): string => new Date(now - secondsAgo * 1_000).toISOString();

  /** To be found by each of its fields. */
  const wantedEntry = {
    id: 'wanted-entry',
    action: { type: 'rotate', result: 'failure', description: 'Rotate Key', time: at(50) },
    actor: { id: 'user-of-the-test', email: 'wanted@example.net', ip_address: '192.0.2.250', token_id: 'token-of-it' },
    resource: { id: 'resource-of-it', product: 'vault', type: 'vault_key', request: { note: 'Needle in the hay' } },
    raw: { cf_ray_id: 'ray-of-it', method: 'PUT', uri: 'javascript:alert(3)', status_code: 403, user_agent: attack },
  };

  /** What people write where they may, so that a page does something that it should not. */
  const hostileText = JSON.stringify({
    id: 'hostile-entry',
    action: { type: attack, result: '"\'><b>', description: 'evil\u202egpj.exe \u0007', time: at(40) },
    actor: { id: '"/><svg onload=alert(4)>', email: "'--@example.com", context: '{{7*7}}' },
    resource: { id: '../../etc', product: 'javascript:alert(5)', type: '\u200bhidden' },
  });

  const largeText = `{"id":"large-entry","action":{"type":"upload","time":"${at(30)}"},"n":12345678901234567890,"x":"${'y'.repeat(1_000_000)}","deep":${nested(4_000)}}`;
  const defectiveText = `{"id":"defective-entry","action":{"type":"odd","time":"${at(35)}"},"n":1e400,"a":"\\u0000","a" : "\\ud800"}`;
  return { wantedEntry, hostileText, largeText, defectiveText };
};

/** Of the moment at which this was loaded. */
export const { hostileText, defectiveText } = makeSearchEntries();
