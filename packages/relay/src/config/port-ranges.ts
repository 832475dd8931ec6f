/** Port ranges as people write them: `7000-7010,8000`. */

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

const PORT_RANGE = /^(\d{1,5})(?:-(\d{1,5}))?$/;

/** Undefined for text that is not a comma-separated list of ports and port ranges. */
export function parsePortRanges(text: string): readonly PortRange[] | undefined {
  const ranges: PortRange[] = [];
  for (const part of text.split(',')) {
    const match = PORT_RANGE.exec(part.trim());
    if (match === null) return undefined;
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    if (first < 1 || last > 65_535 || first > last) return undefined;
    ranges.push({ first, last });
  }
  return ranges;
}

export function formatPortRanges(ranges: readonly PortRange[]): string {
  return ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}

export function rangesInclude(ranges: readonly PortRange[], port: number): boolean {
  return ranges.some(({ first, last }) => port >= first && port <= last);
}
