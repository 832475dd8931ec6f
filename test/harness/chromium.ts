/** Debian's Chromium, headless, for the tests that need a real browser. */
import { mkdirSync } from 'node:fs';
import { type Browser, type Page, chromium } from 'playwright-core';
import { installed } from './debian.ts';
import { runProgram } from './program.ts';
import { type TempFolder, tempFolder } from './temp-folder.ts';

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export interface BrowserUnderTest {
  readonly browser: Browser;
  /** A page whose console errors and failed requests are collected in `troubles`. */
  open(url: string): Promise<{ page: Page; troubles: string[] }>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** `authorityPem`: believed as those are that came with it; needs `certutil`. */
export async function startChromium(authorityPem?: string): Promise<BrowserUnderTest> {
  const executablePath = installed('chromium');
  if (executablePath === undefined) throw new Error('chromium is not installed');
  const home = tempFolder();
  if (authorityPem !== undefined) await trust(home, authorityPem);
  const env = { ...process.env, HOME: home.path };
  const browser = await chromium.launch({ executablePath, args: FLAGS, chromiumSandbox: false, env });
  const close = async (): Promise<void> => {
    await browser.close();
    home.remove();
  };
  return {
    browser,
    open: async (url) => {
      const page = await browser.newPage();
      const troubles: string[] = [];
      page.on('console', (message) => message.type() === 'error' && troubles.push(message.text()));
      page.on('pageerror', (error) => troubles.push(error.message));
      page.on('requestfailed', (request) =>
        troubles.push(`${request.url()}: ${request.failure()?.errorText ?? 'failed'}`),
      );
      await page.goto(url);
      return { page, troubles };
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Chromium reads authorities besides its own from the user's NSS database. */
async function trust(home: TempFolder, authorityPem: string): Promise<void> {
  const folder = `${home.path}/.pki/nssdb`;
  mkdirSync(folder, { recursive: true });
  const certutil = (...args: string[]): Promise<unknown> =>
    runProgram({ name: 'certutil', command: 'certutil', args: ['-d', `sql:${folder}`, ...args] });
  await certutil('-N', '--empty-password');
  await certutil('-A', '-n', 'tests', '-t', 'C,,', '-i', home.write('authority.pem', authorityPem));
}
