/*
 * Made with golang.org/x/mod/sumdb/note (Debian's golang-golang-x-mod-dev) and Go's crypto/ed25519; `openssl pkeyutl -sign -rawin` with
 * the same key gives the same signature. The seeds of the keys are SHA-256 of the words in test-keys.ts.
 */

export const origin = 'audit.example.com/evidence/1f2e3d4c-5b6a-4798-8192-a3b4c5d6e7f8.1/events';
export const root = '2f12768bc07a9f1f1f01b20c0d74b86b018a9bcae7b8c83c90594b6eda593d6e';
export const text = `${origin}\n43\nLxJ2i8B6nx8fAbIMDXS4awGKm8rnuMg8kFlLbtpZPW4=\n`;

/** note.NewEd25519VerifierKey */
export const logKey = `${origin}+0e4412a4+Aau9KmC0kePiu32Jg2UzBj/0DLIYz8+ewmL1Fhn/3LKO`;
export const logLine = `\u2014 ${origin} DkQSpNpbwkveTs7QjJ92UxFu1M9fBFtZYR/Y8xEZ3aLmSMvzmmIGEDdy2hEvVt+MTlUIycFRxxtB4FgKYm5pDVRPqQw=\n`;

/** By crypto/ed25519, as c2sp.org/tlog-cosignature says, at 1767225600. Debian's litetlog and sigsum-go verify it. */
export const witnessName = 'witness.example.com/w1';
export const witnessKey = `${witnessName}+e51b2b56+BIveu+miny0BVRDIBBYDJtycHZ+vnukxmjoLDlSi30yM`;
export const witnessLine = `\u2014 ${witnessName} 5RsrVgAAAABpVbkA8nzd2Nm1PAna6P2twHpxds3dnHrVgPjG0vKU0tnvjO9Q6DS1r26CL9LnVu7adlZD+7h5SU4ztmp4j6quKpKkBQ==\n`;
