/** deploy/caddy, with a real Caddy. */
import { describe } from 'vitest';
import { installed, missing } from '../harness/debian.ts';
import { Program } from '../harness/program.ts';
import { worksBehind } from './behind-front.ts';

describe.skipIf(missing('caddy'))('a relay behind Caddy', () => {
  worksBehind({
    file: 'caddy/Caddyfile',
    start: (config, { folder, httpPort, httpsPort }) => {
      // Its own ports are options of the whole file; the admin socket would be a fixed one.
      const options = `{\n\tadmin off\n\thttp_port ${httpPort}\n\thttps_port ${httpsPort}\n\tskip_install_trust\n}\n`;
      const file = folder.write('Caddyfile', `${options}${config}`);
      return new Program({
        name: 'caddy',
        command: installed('caddy') ?? 'caddy',
        args: ['run', '--config', file, '--adapter', 'caddyfile'],
        env: { HOME: folder.path, XDG_DATA_HOME: folder.path, XDG_CONFIG_HOME: folder.path },
      });
    },
  });
});
