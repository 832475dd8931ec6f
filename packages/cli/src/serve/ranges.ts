/** The `Range` field (RFC 9110 section 14): which bytes of a file a visitor asked for. */

/** First and last byte, both included. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

export type RangeOutcome =
  /** Send the whole file with 200: no range, not understood, or not worth taking apart. */
  | { readonly kind: 'whole' }
  | { readonly kind: 'parts'; readonly ranges: readonly ByteRange[] }
  | { readonly kind: 'unsatisfiable' };

/** More parts than any player or download tool asks for; RFC 9110 section 14.2 allows ignoring such requests. */
const MAX_RANGES = 16;
const WHOLE: RangeOutcome = { kind: 'whole' };

export function parseRange(field: string | undefined, size: number): RangeOutcome {
  // An empty file has no byte to name in Content-Range.
  if (field === undefined || size === 0) return WHOLE;
  const match = /^bytes=(.*)$/i.exec(field.trim());
  if (match === null) return WHOLE;
  const specs = (match[1] ?? '').split(',').map((spec) => spec.trim());
  const wanted = specs.filter((spec) => spec !== '');
  if (wanted.length === 0 || wanted.length > MAX_RANGES) return WHOLE;
  const ranges: ByteRange[] = [];
  for (const spec of wanted) {
    const range = parseSpec(spec, size);
    if (range === 'malformed') return WHOLE;
    if (range !== 'unsatisfiable') ranges.push(range);
  }
  if (ranges.length === 0) return { kind: 'unsatisfiable' };
  // Overlapping ranges that add up to more than the file would make a small request into a large answer.
  const total = ranges.reduce((sum, range) => sum + range.last - range.first + 1, 0);
  return ranges.length > 1 && total > size ? WHOLE : { kind: 'parts', ranges };
}

function parseSpec(spec: string, size: number): ByteRange | 'malformed' | 'unsatisfiable' {
  const match = /^(\d*)\s*-\s*(\d*)$/.exec(spec);
  if (match === null) return 'malformed';
  const [first = '', last = ''] = [match[1], match[2]];
  if (first === '') {
    if (last === '') return 'malformed';
    const length = Number(last);
    return length === 0 ? 'unsatisfiable' : { first: Math.max(0, size - length), last: size - 1 };
  }
  const from = Number(first);
  const to = last === '' ? size - 1 : Number(last);
  if (last !== '' && to < from) return 'malformed';
  return from >= size ? 'unsatisfiable' : { first: from, last: Math.min(to, size - 1) };
}
