import { readFile } from 'node:fs/promises';
import { AwsClient } from 'aws4fetch';
import { beforeAll, describe, expect, test } from 'vitest';
import { readCatalogue } from '../../../src/archive/catalogue.sql.ts';
import { openArchiveWorld } from '../../support/archive/archive-world.ts';
import { RETENTION_DAYS } from '../../support/postgres/store-fixture.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { type Storage, storages, testBucket } from '../../support/s3/storages.ts';

const moto = storages.find(({ name }) => name === 'moto');

describe.skipIf(moto?.missing !== undefined)('the policies of docs/operations/secrets.md', () => {
  const storage = ofAllTests(async () => {
    if (moto === undefined) throw new Error('there is no moto among the storages');
    return await moto.start(undefined, withoutSignatures);
  });
  const world = ofAllTests(() => openArchiveWorld());
  let writer: Keys;
  let reader: Keys;
  beforeAll(async () => {
    await (await testBucket(storage, 'audit-archive')).close();
    const policy = await documentedPolicy();
    writer = await account(storage, 'writer', policy);
    reader = await account(storage, 'reader', without(policy, 's3:PutObject'));
    // From here on policies count.
    await fetch(`${storage.endpoint}/moto-api/reset-auth`, { method: 'POST', body: '0' });
  });

  const orgtrail = (keys: Keys, args: readonly string[], prefix = 'orgtrail') =>
    runInProcess(args, {
      DATABASE_URL: world.database.daemonUrl,
      ORGTRAIL_RETENTION: `${RETENTION_DAYS}d`,
      ORGTRAIL_ARCHIVE: `s3://audit-archive/${prefix}?endpoint=${storage.endpoint}`,
      ORGTRAIL_ARCHIVE_S3_ACCESS_KEY: keys.accessKeyId,
      ORGTRAIL_ARCHIVE_S3_SECRET_KEY: keys.secretAccessKey,
    });

  test('are enough to write and to read, and for nothing else', async () => {
    const before = await orgtrail(reader, ['feed']);
    expect(before.code).toBe(0);
    const denied = {
      code: 4,
      stderr: expect.stringContaining('the access key is not allowed to do this (AccessDenied): PUT'),
    };
    expect(await orgtrail(reader, ['archive', 'run'])).toMatchObject(denied);
    expect(await orgtrail(writer, ['archive', 'run'], 'another-prefix')).toMatchObject(denied);
    expect((await orgtrail(writer, ['archive', 'run', '--drop'])).stdout).toContain('2024-01 was dropped');
    for (const keys of [writer, reader]) {
      expect(await orgtrail(keys, ['feed'])).toEqual(before);
      expect((await orgtrail(keys, ['archive', 'verify', '--contents'])).code).toBe(0);
      expect((await orgtrail(keys, ['archive', 'restore', '2024-01'])).code).toBe(0);
    }
    const [object] = await readCatalogue(world.owner);
    for (const keys of [writer, reader]) {
      const client = new AwsClient({ ...keys, service: 's3', region: 'us-east-1' });
      const url = `${storage.endpoint}/audit-archive/orgtrail/${object?.key}`;
      expect((await client.fetch(url, { method: 'DELETE' })).status).toBe(403);
      expect((await client.fetch(url)).status).toBe(200);
    }
  });
});

interface Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

interface Policy {
  readonly Statement: readonly { readonly Action: string | readonly string[] }[];
}

/** That of docs/operations/secrets.md, for the process that writes. */
const documentedPolicy = async (): Promise<Policy> => {
  const page = await readFile(new URL('../../../docs/operations/secrets.md', import.meta.url), 'utf8');
  return JSON.parse(/```json\n([^`]+)```/.exec(page)?.[1] ?? '') as Policy;
};

const without = ({ Statement, ...policy }: Policy, action: string): Policy => ({
  ...policy,
  Statement: Statement.map((each) => ({ ...each, Action: [each.Action].flat().filter((name) => name !== action) })),
});

/** With policies moto verifies signatures as well, and takes those of names with `=` for wrong. radosgw takes them, in storages.test.ts. */
const withoutSignatures =
  'import moto.iam.access_control as control; control.IAMRequestBase.check_signature = lambda self: None; ';

/** An account of moto's IAM with this policy. */
const account = async ({ endpoint }: Storage, name: string, policy: Policy): Promise<Keys> => {
  const iam = new AwsClient({ accessKeyId: 'root', secretAccessKey: 'root', service: 'iam', region: 'us-east-1' });
  const call = async (Action: string, more: Readonly<Record<string, string>> = {}): Promise<string> => {
    const body = new URLSearchParams({ Action, Version: '2010-05-08', UserName: name, ...more }).toString();
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const response = await iam.fetch(endpoint, { method: 'POST', body, headers });
    const text = await response.text();
    if (!response.ok) throw new Error(`${Action}: ${text}`);
    return text;
  };
  await call('CreateUser');
  await call('PutUserPolicy', { PolicyName: 'archive', PolicyDocument: JSON.stringify(policy) });
  const text = await call('CreateAccessKey');
  const read = (element: string) => new RegExp(`<${element}>([^<]+)<`).exec(text)?.[1] ?? '';
  return { accessKeyId: read('AccessKeyId'), secretAccessKey: read('SecretAccessKey') };
};
