import { createHash } from 'node:crypto';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** What proves a token to the database, to read access_log and to set sinks back: it opens nothing over HTTP, and the token cannot be derived from it. */
export const tokenProof = (token: string): Buffer => digest(`orgtrail access log ${token}`);

/** What proves a session of the console in the same way, made of its cookie. */
export const sessionProof = (cookie: string): Buffer => digest(`orgtrail access log of session ${cookie}`);

/** What the database keeps of such a proof. */
export const keptOfProof = (proof: Buffer): Buffer => createHash('sha256').update(proof).digest();
