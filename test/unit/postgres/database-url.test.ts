import { expect, test } from 'vitest';
import { loadConfig } from '../../../src/app/config/config.ts';
import { OrgtrailError } from '../../../src/base/errors.ts';
import { databasePasswords, databaseUrlFault, readDatabaseUrl } from '../../../src/postgres/database-url.ts';
import { describeUrl } from '../../../src/postgres/pool.ts';
import { databaseTrouble } from '../../../src/postgres/sql-state.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';

const file = temporaryFolder().file('ca.pem', 'the CA');
const SECRET = 'Secr3t';

test.each([
  'postgres://u:p@h:5432/d',
  'postgresql://u:p@h/d?application_name=x&options=-c%20a%3Db',
  'postgres:///d?host=/var/run/postgresql&user=a@b',
  'postgres://u@/d?host=/var/run/postgresql',
  'postgres://u:100%!@h/d',
  'postgres://u:p%40%2F@h/d?sslmode=verify-full',
  `postgres://u:p@h/d?sslmode=require&sslrootcert=${file}`,
  'postgres://u:p@h/d?ssl=true&sslnegotiation=direct',
])('a DATABASE_URL %s is fine', (text) => expect(databaseUrlFault(text)).toBeUndefined());

test.each([
  ['mysql://h/d', /^must be postgres:/],
  [`postgres://u:pa/${SECRET}@h/d`, /%2F/],
  [`postgres://u:12/${SECRET}@h/d`, /%2F/],
  [`postgres://u:12?${SECRET}@h/d`, /%3F/],
  [`postgres://u:12#${SECRET}@h/d`, /%23/],
  [`postgres://u:12#${SECRET}`, /%23/],
  [
    'postgres://u:p@h/d?sslmode=verifyfull',
    /^must have an sslmode that is one of prefer, require, verify-ca, verify-full,/,
  ],
  ['postgres://u:p@h/d?sslmode=REQUIRE', /^must have an sslmode/],
  ['postgres://u:p@h/d?sslmode=', /^must have an sslmode/],
  ['postgres://u:p@h/d?ssl=yes', /^must have an sslmode/],
  ['postgres://u:p@h/d?sslnegotiation=later', /^must have an sslnegotiation/],
  [`postgres://u:p@h/d?sslcert=${file}`, /^must have sslcert and sslkey together$/],
  [`postgres://u:p@h/d?sslrootcert=/nowhere/${SECRET}`, /^names an sslrootcert that cannot be read \(ENOENT\)$/],
])('a DATABASE_URL %s is refused at start, without its value', (text, fault) => {
  expect(databaseUrlFault(text)).toMatch(fault);
  const load = () => loadConfig({ DATABASE_URL: text }, { needsCredential: false, interactive: false });
  expect(load).toThrow(/DATABASE_URL (must|names)/);
  expect(databaseUrlFault(text)).not.toContain(SECRET);
});

test.each([
  ['', undefined],
  ['?connect_timeout=25', 25_000],
  ['?connect_timeout=0', undefined],
  ['?connect_timeout=soon', undefined],
])('a DATABASE_URL says how long a connection may take: "%s"', (query, connectTimeoutMs) =>
  expect(readDatabaseUrl(`postgres://u:p@h/d${query}`).connectTimeoutMs).toBe(connectTimeoutMs),
);

test('a DATABASE_URL is given to the driver as it is, less what is said of TLS', () => {
  const url = `postgres://u:a%2Fb@h/d?sslmode=require&options=-c%20x%3Dy&sslrootcert=${file}&ssl=true`;
  const target = readDatabaseUrl(url);
  expect(target.connectionString).toBe('postgres://u:a%2Fb@h/d?options=-c%20x%3Dy');
  expect(target.tls?.()).toEqual({ rejectUnauthorized: true, ca: 'the CA' });
  expect(readDatabaseUrl('postgres://u:p@h/d?sslmode=require').connectionString).toBe('postgres://u:p@h/d');
});

test.each([
  ['', undefined],
  ['?application_name=x', undefined],
  ['?sslmode=disable', false],
  ['?ssl=0', false],
  ['?sslmode=no-verify', { rejectUnauthorized: false }],
  ['?sslmode=prefer', { rejectUnauthorized: true }],
  ['?sslmode=require&uselibpqcompat=true', { rejectUnauthorized: true }],
  ['?sslnegotiation=direct', { rejectUnauthorized: true }],
  [`?sslrootcert=${file}`, { rejectUnauthorized: true, ca: 'the CA' }],
])('a DATABASE_URL with "%s" means TLS %j', (query, tls) =>
  expect(readDatabaseUrl(`postgres://u:p@h/d${query}`).tls?.()).toEqual(tls),
);

test.each([
  [`postgres://u:${SECRET}@h/d`, SECRET],
  [`postgres://u:${SECRET}%2F%40@h/d`, `${SECRET}/@`],
  [`postgres://u:${SECRET}%!@h/d`, `${SECRET}%!`],
  [`postgres://h/d?user=u&password=${SECRET}%21`, `${SECRET}!`],
  [`postgres://u:${SECRET}@/d?host=/tmp`, SECRET],
])('a DATABASE_URL %s has a password that the log blanks, and no message names', (text, password) => {
  expect(databasePasswords(text)).toContain(password);
  expect(describeUrl(text)).not.toContain(SECRET);
});

const coded = (code: string, more: object = {}) => Object.assign(new Error('x'), { code, ...more });

test.each([
  [coded('ECONNREFUSED'), 'unreachable'],
  [new AggregateError([coded('ECONNREFUSED'), coded('ECONNREFUSED')]), 'unreachable'],
  [coded('ENOENT', { syscall: 'connect' }), 'unreachable'],
  [coded('57P01'), 'unreachable'],
  [coded('08006'), 'unreachable'],
  [new Error('Connection terminated unexpectedly'), 'unreachable'],
  [new OrgtrailError('database_unreachable', 'x'), 'unreachable'],
  [new Error('timeout exceeded when trying to connect'), 'busy'],
  [coded('53300'), 'busy'],
  [coded('57014'), 'slow'],
  [new Error('Query read timeout'), 'slow'],
  [coded('53100'), 'full'],
  [coded('42P01'), undefined],
  [coded('42501'), undefined],
  [coded('ENOENT', { syscall: 'open' }), undefined],
  [new TypeError('x is not a function'), undefined],
  ['text', undefined],
])('%s is %s', (error, trouble) => expect(databaseTrouble(error)).toBe(trouble));
