/** docs/configuration.md, made from the declarations of the relay's options. */
import type { GeneratedPage } from './generated-pages.ts';

export async function configurationPage(): Promise<GeneratedPage[]> {
  return [];
}
