/** deploy/nginx, with a real nginx. */
import { describe } from 'vitest';
import { installed, missing } from '../harness/debian.ts';
import { Program } from '../harness/program.ts';
import { worksBehind } from './behind-front.ts';

describe.skipIf(missing('nginx'))('a relay behind nginx', () => {
  worksBehind({
    file: 'nginx/porthole.conf',
    start: (config, { folder, httpPort, httpsPort }) => {
      folder.write(
        'site.conf',
        config.replace(/^( *listen) 443\b/m, `$1 ${httpsPort}`).replace(/^( *listen) 80\b/m, `$1 ${httpPort}`),
      );
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
        (kind) => `${kind}_temp_path ${folder.path}/${kind};`,
      );
      // The frame Debian's nginx.conf gives to files of conf.d.
      const frame = [
        'daemon off; worker_processes 1;',
        `pid ${folder.path}/nginx.pid; error_log stderr warn;`,
        'events { worker_connections 512; }',
        `http { access_log off; ${temporary.join(' ')} include ${folder.path}/site.conf; }`,
      ];
      const file = folder.write('nginx.conf', frame.join('\n'));
      const args = ['-c', file, '-p', folder.path, '-e', 'stderr'];
      return new Program({ name: 'nginx', command: installed('nginx') ?? 'nginx', args });
    },
  });
});
