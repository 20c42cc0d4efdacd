import type { CertificateFiles } from '../network/certificates.ts';

// What src/sinks/syslog/README.md tells users to write, but for paths, ports and loopback: keep the two alike.

/** The receiver's certificate, and whom it takes. */
export interface SyslogTls extends CertificateFiles {
  /** Requires certificates of clients, by this authority. */
  readonly clientCa?: string;
}

interface ConfigOptions {
  readonly directory: string;
  readonly port: number;
  readonly tls?: SyslogTls;
}

/** Of one message 2 MB, over the 2,000,000 of `max_message_bytes`. */
const MAX_BYTES = 2_097_152;

/** Priority, time, host, app, process, message id, structured data, message: a line each, tabs between. */
const rsyslogTemplate =
  '%pri%\\t%timestamp:::date-rfc3339%\\t%hostname%\\t%app-name%\\t%procid%\\t%msgid%\\t%structured-data%\\t%msg%\\n';
const syslogNgTemplate = `${['PRI', 'ISODATE', 'HOST', 'PROGRAM', 'PID', 'MSGID', 'SDATA', 'MSG'].map((name) => `$\{${name}}`).join('\\t')}\\n`;

export const rsyslogConfig = (options: ConfigOptions & { readonly driver: 'ossl' | 'gtls' }): string => {
  const { directory, port, tls, driver } = options;
  const files =
    tls === undefined
      ? ''
      : `defaultNetstreamDriverCAFile="${tls.clientCa ?? tls.cert}"
       defaultNetstreamDriverCertFile="${tls.cert}"
       defaultNetstreamDriverKeyFile="${tls.key}"`;
  const authentication = tls?.clientCa === undefined ? 'anon' : 'x509/certvalid';
  const stream =
    tls === undefined
      ? ''
      : `streamDriver.name="${driver}" streamDriver.mode="1" streamDriver.authMode="${authentication}"`;
  return `
global(maxMessageSize="2m" workDirectory="${directory}"
       parser.escapeControlCharactersOnReceive="off"
       ${files})
module(load="imtcp")
template(name="orgtrail" type="string" string="${rsyslogTemplate}")
ruleset(name="orgtrail" queue.type="Direct") {
  action(type="omfile" file="${directory}/received" template="orgtrail")
}
input(type="imtcp" address="127.0.0.1" port="${port}" maxFrameSize="${MAX_BYTES}" ruleset="orgtrail"
      ${stream})
`;
};

export const syslogNgConfig = ({ directory, port, tls }: ConfigOptions): string => {
  const peer = tls?.clientCa === undefined ? 'peer-verify(no)' : `peer-verify(yes) ca-file("${tls.clientCa}")`;
  const transport =
    tls === undefined
      ? 'transport("tcp")'
      : `transport("tls")
         tls(cert-file("${tls.cert}") key-file("${tls.key}") ${peer})`;
  return `@version: 4.2
options {
  log-msg-size(${MAX_BYTES}); keep-hostname(yes); chain-hostnames(no); use-dns(no);
  frac-digits(6); stats(freq(0));
};
source s_orgtrail {
  syslog(ip("127.0.0.1") port(${port})
         ${transport});
};
destination d_orgtrail {
  file("${directory}/received" template("${syslogNgTemplate}") flush-lines(1));
};
log { source(s_orgtrail); destination(d_orgtrail); flags(flow-control); };
`;
};
