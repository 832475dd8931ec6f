/** Writes the pages that are made from code. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generatedPages, ROOT } from './generated-pages.ts';

for (const page of generatedPages()) {
  writeFileSync(join(ROOT, page.path), page.text);
  console.log(page.path);
}
