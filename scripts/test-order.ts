/**
 * The order of the test files, for vitest: those that mostly wait come first, so that others run beside them. Left to itself
 * a machine that has never run them starts the longest file first, and most of those that wait are short.
 */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const WAITS = /\/test\/(e2e\/(survival\/|waiting|keep-alive|limits|tcp|own-answers)|interop\/testssl)/;

export class TestOrder extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isFirst = (file: TestSpecification): boolean => WAITS.test(file.moduleId);
    return [...sorted.filter(isFirst), ...sorted.filter((file) => !isFirst(file))];
  }
}
