/** How much of a long list has room in a page of limited length. */

export interface FittingLines<T> {
  readonly fit: readonly T[];
  readonly leftOut: number;
  /** Length of those that fit as JSON, in UTF-16 code units. */
  readonly chars: number;
}

/** The first of them that have room, and how many have not. */
export function linesThatFit<T extends object>(lines: Iterable<T>, maxChars: number): FittingLines<T> {
  const fit: T[] = [];
  let chars = 0;
  let leftOut = 0;
  for (const line of lines) {
    // And a comma.
    const more = JSON.stringify(line).length + 1;
    if (leftOut > 0 || chars + more > maxChars) leftOut += 1;
    else {
      fit.push(line);
      chars += more;
    }
  }
  return { fit, leftOut, chars };
}
