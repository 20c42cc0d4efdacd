/** What requests are signed with. */
export interface S3Keys {
  readonly accessKey: string;
  readonly secretKey: string;
  /** Of credentials for a time. */
  readonly sessionToken?: string;
  /** When they end; absent: never. */
  readonly expiresAtMs?: number;
}
