/** Debian's Chromium, headless, for the tests that need a real browser. */
import { type Browser, type Page, chromium } from 'playwright-core';
import { installed } from './debian.ts';

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

export async function startChromium(): Promise<BrowserUnderTest> {
  const executablePath = installed('chromium');
  if (executablePath === undefined) throw new Error('chromium is not installed');
  const browser = await chromium.launch({ executablePath, args: FLAGS, chromiumSandbox: false });
  const close = (): Promise<void> => browser.close();
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
