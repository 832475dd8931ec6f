/** A temporary folder that all test files of a run share, and that goes with the run. Vitest calls this before the first file. */
import type { TestProject } from 'vitest/node';
import { tempFolder } from '../harness/temp-folder.ts';

declare module 'vitest' {
  interface ProvidedContext {
    runFolder: string;
  }
}

export function setup(project: TestProject): () => void {
  const folder = tempFolder();
  project.provide('runFolder', folder.path);
  return () => folder.remove();
}
