/** A vitest reporter that hands the counts of a run to `scripts/run.mjs`, which prints them as the very last line. */
import { writeFileSync } from 'node:fs';
import type { Reporter, SerializedError, TestModule } from 'vitest/node';

export default class TestSummary implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandled: ReadonlyArray<SerializedError>): void {
    const file = process.env['PORTHOLE_TEST_SUMMARY'];
    if (file === undefined) return;
    const counts = { passed: 0, failed: unhandled.length, skipped: 0 };
    for (const module of modules) count(module, counts);
    writeFileSync(file, JSON.stringify(counts));
  }
}

function count(module: TestModule, counts: { passed: number; failed: number; skipped: number }): void {
  let failedHere = 0;
  for (const test of module.children.allTests()) {
    const { state } = test.result();
    if (state === 'passed') counts.passed += 1;
    else if (state === 'skipped') counts.skipped += 1;
    else failedHere += 1;
  }
  // A file that cannot be imported, or whose hooks fail, has failed although none of its tests has.
  if (failedHere === 0 && !module.ok()) failedHere = 1;
  counts.failed += failedHere;
}
