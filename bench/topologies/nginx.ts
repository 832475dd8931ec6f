/** Debian's nginx three times: the origin, and the two reverse proxies that are the same topology as a tunnel, in C. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CertificateFiles } from '../certificate.ts';
import { delayed } from '../delayed.ts';
import { findOnPath, freePort, listening, runToEnd, type RunningProgram, type Workbench } from '../processes.ts';
import type { Origin, Path, Topology } from './topology.ts';

const SINK = fileURLToPath(new URL('../sink.ts', import.meta.url));
export const SMALL_ANSWER = 'Hello from the origin, 35 bytes ok!\n'.slice(0, 35);

export const FILES = { '1g': 1024 ** 3, '256m': 256 * 1024 ** 2, '4g': 4 * 1024 ** 3 } as const;

/** Of the bulk transfers that others are measured beside: small enough to stay in memory. */
export const BULK_FILE = '1g';

export async function startOrigin(bench: Workbench): Promise<Origin> {
  // Sparse files: no disk is read.
  for (const [name, bytes] of Object.entries(FILES))
    await runToEnd('truncate', ['-s', String(bytes), join(bench.folder, name)]);
  writeFileSync(join(bench.folder, '10k'), Buffer.alloc(10_000, 'x'));
  // What is read for the first time has to be given memory first: the origin would stand still for milliseconds.
  await runToEnd('sha256sum', [join(bench.folder, BULK_FILE)]);
  const filesPort = await freePort();
  await startNginx(
    bench,
    filesPort,
    `server {
      listen 127.0.0.1:${filesPort} backlog=4096;
      root ${bench.folder};
      location = /small { default_type text/plain; return 200 "${SMALL_ANSWER}"; }
      location /varied { default_type text/plain; add_header X-Request-Id $request_id; return 200 "${SMALL_ANSWER}"; }
    }`,
    'open_file_cache max=16;',
  );
  const sinkPort = await freePort();
  await bench.startNode(SINK, [String(sinkPort)]).line(/sink ready/);
  return { filesPort, sinkPort };
}

export const direct: Topology = {
  name: 'direct',
  isAvailable: () => findOnPath('nginx') !== undefined,
  async open(bench, origin, oneWayMs): Promise<Path> {
    const files = await delayed(bench, origin.filesPort, oneWayMs);
    const sink = await delayed(bench, origin.sinkPort, oneWayMs);
    return {
      files: { port: files.port, host: 'bench.localhost' },
      sink: { port: sink.port, host: 'bench.localhost' },
      pids: {},
      close: async () => {
        await files.program?.stop();
        await sink.program?.stop();
      },
    };
  },
};

/** With a certificate: visitors come over TLS, in HTTP/2 if they like, and the first speaks TLS to the second. */
export function twoNginx(certificate?: CertificateFiles): Topology {
  const isSecure = certificate !== undefined;
  return {
    name: 'two nginx',
    isAvailable: () => findOnPath('nginx') !== undefined,
    async open(bench, origin, oneWayMs): Promise<Path> {
      const innerPort = await freePort();
      const toOrigin = { filesPort: origin.filesPort, sinkPort: origin.sinkPort, scheme: 'http' } as const;
      const inner = await startNginx(bench, innerPort, passTo(innerPort, toOrigin, certificate));
      const line = await delayed(bench, innerPort, oneWayMs);
      const outerPort = await freePort();
      const scheme = isSecure ? 'https' : 'http';
      const toInner = { filesPort: line.port, sinkPort: line.port, scheme } as const;
      const outer = await startNginx(bench, outerPort, passTo(outerPort, toInner, certificate));
      const place = { port: outerPort, host: 'bench.localhost', isSecure };
      return {
        files: place,
        sink: place,
        pids: { outer: outer.pid, inner: inner.pid },
        close: async () => {
          await outer.stop();
          await inner.stop();
          await line.program?.stop();
        },
      };
    },
  };
}

interface PassedTo {
  readonly filesPort: number;
  readonly sinkPort: number;
  readonly scheme: 'http' | 'https';
}

/**
 * One reverse proxy. Kept-alive on both sides for as long as it likes; bodies are streamed, not spooled to disk, since
 * a tunnel does not spool either and a disk would only slow nginx down. Versions and ciphers of TLS are those of the relay. Everything else is nginx's default.
 */
function passTo(listenPort: number, { filesPort, sinkPort, scheme }: PassedTo, certificate?: CertificateFiles): string {
  const upstream = (name: string, port: number): string =>
    `upstream ${name} { server 127.0.0.1:${port}; keepalive 1024; keepalive_requests 100000000; }`;
  return `${upstream('files', filesPort)}
    ${upstream('sink', sinkPort)}
    server {
      listen 127.0.0.1:${listenPort} ${certificate === undefined ? '' : 'ssl http2 '}backlog=4096;
      ${certificate === undefined ? '' : tlsDirectives(certificate)}
      client_max_body_size 0;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_max_temp_file_size 0;
      proxy_request_buffering off;
      location / { proxy_pass ${scheme}://files; }
      location /upload { proxy_pass ${scheme}://sink; }
    }`;
}

function tlsDirectives({ chainFile, keyFile }: CertificateFiles): string {
  return `ssl_certificate ${chainFile};
      ssl_certificate_key ${keyFile};
      ssl_protocols TLSv1.2 TLSv1.3;
      ssl_prefer_server_ciphers on;
      ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256;`;
}

async function startNginx(bench: Workbench, port: number, server: string, extra = ''): Promise<RunningProgram> {
  const file = join(bench.folder, `nginx-${port}.conf`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${join(bench.folder, `${name}-${port}`)};`)
    .join('\n');
  writeFileSync(
    file,
    `daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid ${join(bench.folder, `nginx-${port}.pid`)};
error_log stderr error;
events { worker_connections 32768; }
http {
  ${temporary}
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  keepalive_timeout 3600s;
  send_timeout 3600s;
  ${extra}
  ${server}
}
`,
  );
  const program = bench.start(findOnPath('nginx') as string, [
    '-p',
    bench.folder,
    '-c',
    file,
    '-e',
    'stderr',
    '-g',
    userDirective(),
  ]);
  await listening(port);
  return program;
}

/** Root's nginx gives its worker to nobody, who may not read the benchmark's folder. */
function userDirective(): string {
  return process.getuid?.() === 0 ? 'user root;' : '';
}
