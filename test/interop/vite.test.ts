/** Vite's development server through a tunnel, hot reload included, in both Host modes and without touching its config. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type AgentUnderTest, startAgent } from '../harness/agent.ts';
import { type BrowserUnderTest, startChromium } from '../harness/chromium.ts';
import { missing } from '../harness/debian.ts';
import { Program } from '../harness/program.ts';
import { askOnce, getRequest } from '../harness/raw-visitor.ts';
import { type RelayUnderTest, startRelay } from '../harness/relay.ts';
import { type TempFolder, tempFolder } from '../harness/temp-folder.ts';
import { until } from '../harness/until.ts';

const VITE = fileURLToPath(new URL('../../node_modules/vite/bin/vite.js', import.meta.url));

describe.skipIf(missing('chromium'))('Vite', () => {
  let relay: RelayUnderTest;
  let token: string;
  let chromium: BrowserUnderTest;
  let folder: TempFolder;
  let vite: Program | undefined;
  let agent: AgentUnderTest | undefined;

  beforeAll(async () => {
    relay = await startRelay();
    token = await relay.addToken('ada');
    chromium = await startChromium();
  });
  afterAll(async () => {
    await chromium?.close();
    await relay?.close();
  });
  afterEach(async () => {
    await agent?.close();
    await vite?.close();
    folder?.remove();
  });

  async function startVite(config: string): Promise<number> {
    folder = tempFolder();
    mkdirSync(join(folder.path, 'src'));
    folder.write('package.json', '{"type":"module"}');
    folder.write('vite.config.js', `export default { ${config} };\n`);
    folder.write(
      'index.html',
      '<!doctype html><link rel="icon" href="data:,"><div id="app"></div><script type="module" src="/src/main.js"></script>',
    );
    for (let i = 0; i < 60; i++)
      writeFileSync(join(folder.path, 'src', `module-${i}.js`), `export const value${i} = ${i};\n`);
    const imports = Array.from({ length: 60 }, (_unused, i) => `import { value${i} } from './module-${i}.js';`).join(
      '\n',
    );
    const sum = Array.from({ length: 60 }, (_unused, i) => `value${i}`).join(' + ');
    writeFileSync(
      join(folder.path, 'src', 'main.js'),
      `import { text } from './text.js';\n${imports}\nwindow.boots = (window.boots ?? 0) + 1;\nwindow.sum = ${sum};\nconst show = (t) => { document.getElementById('app').textContent = t; };\nshow(text);\nif (import.meta.hot) import.meta.hot.accept('./text.js', (fresh) => show(fresh.text));\n`,
    );
    writeText('first');
    vite = new Program({
      name: 'vite',
      command: process.execPath,
      args: [VITE, '--port', '0', '--host', '127.0.0.1'],
      cwd: folder.path,
      env: { NO_COLOR: '1' },
    });
    return Number(
      await vite.waitForLine('vite is ready', (line) => /http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1], 30_000),
    );
  }

  function writeText(text: string): void {
    writeFileSync(join(folder.path, 'src', 'text.js'), `export const text = ${JSON.stringify(text)};\n`);
  }

  async function editsArrive(url: string): Promise<void> {
    const { page, troubles } = await chromium.open(url);
    const shown = (): Promise<string> => page.locator('#app').innerText();
    await until('the page is there', async () => (await shown()) === 'first', 30_000);
    expect(await page.evaluate('window.sum')).toBe((59 * 60) / 2);
    await until(
      'the hot-reload socket is open',
      async () => (await page.evaluate<number>('performance.getEntriesByType("resource").length')) > 60,
    );
    for (const text of ['second', 'third', 'ü']) {
      await until('the edit arrives', async () => {
        writeText(text);
        return (await shown()) === text;
      });
    }
    // Replaced in place, not by loading the page again.
    expect(await page.evaluate('window.boots')).toBe(1);
    expect(troubles).toEqual([]);
    await page.close();
  }

  it('works in rewrite mode with its config as it is', async () => {
    const port = await startVite('');
    agent = await startAgent({ relayUrl: relay.url, token, target: port, args: ['--host-header', 'rewrite'] });
    await editsArrive(await agent.url());
  });

  it('works in preserve mode once it allows the public host', async () => {
    const port = await startVite(`server: { allowedHosts: ['.localhost'] }`);
    agent = await startAgent({ relayUrl: relay.url, token, target: port, args: ['--host-header', 'preserve'] });
    await editsArrive(await agent.url());
  });

  it('refuses a public host in preserve mode with an answer that arrives as it is', async () => {
    const foreign = await startRelay({ domain: 'tunnel.test' });
    const port = await startVite('');
    agent = await startAgent({ relayUrl: foreign.url, token: await foreign.addToken('ada'), target: port });
    const url = await agent.url();
    const answer = await askOnce(url, getRequest(url));
    expect([answer.status, answer.body.toString()]).toEqual([403, expect.stringContaining('allowedHosts')]);
    await agent.close();
    agent = undefined;
    await foreign.close();
  });
});
