/** A relay inside the test's own process: quick to start, for tests that need no process of their own. */
import { Relay, loadConfig } from '@porthole/relay';
import { tempFolder } from './temp-folder.ts';

export interface RelayInProcess extends AsyncDisposable {
  readonly port: number;
  /** 0 without `https`. */
  readonly httpsPort: number;
  /** What an agent is told. */
  readonly url: string;
  close(): Promise<void>;
}

/** An open relay (no tokens) on loopback. `flags` by option path, as text; `file`: what only the file can say. */
export async function startRelayInProcess(
  flags: Readonly<Record<string, string>> = {},
  file: Readonly<Record<string, unknown>> = {},
): Promise<RelayInProcess> {
  const folder = tempFolder();
  const { config } = loadConfig({
    workingDir: folder.path,
    // JSON is YAML.
    file: { path: 'relay.yml', text: JSON.stringify(file) },
    flags: { http: '127.0.0.1:0', admin: 'off', open: true, data: folder.path, ...flags },
  });
  const relay = new Relay(config);
  const { httpPort, httpsPort = 0 } = await relay.start();
  const close = async (): Promise<void> => {
    await relay.close();
    folder.remove();
  };
  return { port: httpPort, httpsPort, url: `http://127.0.0.1:${httpPort}`, close, [Symbol.asyncDispose]: close };
}
