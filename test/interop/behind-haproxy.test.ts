/** deploy/haproxy, with a real HAProxy. */
import { readFileSync } from 'node:fs';
import { describe } from 'vitest';
import { installed, missing } from '../harness/debian.ts';
import { Program } from '../harness/program.ts';
import { worksBehind } from './behind-front.ts';

describe.skipIf(missing('haproxy'))('a relay behind HAProxy', () => {
  worksBehind({
    file: 'haproxy/haproxy.cfg',
    start: (config, { folder, certificate, httpPort, httpsPort }) => {
      folder.write(
        'porthole.pem',
        readFileSync(certificate.chainFile, 'utf8') + readFileSync(certificate.keyFile, 'utf8'),
      );
      const file = folder.write(
        'haproxy.cfg',
        config.replace('bind :80', `bind :${httpPort}`).replace('bind :443', `bind :${httpsPort}`),
      );
      return new Program({ name: 'haproxy', command: installed('haproxy') ?? 'haproxy', args: ['-db', '-f', file] });
    },
  });
});
