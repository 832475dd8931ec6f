/** Measures competitors in turns, so that whatever else the machine does hits all of them alike. */

export interface Sample {
  readonly competitor: string;
  readonly value: number;
}

export interface Competitor {
  readonly name: string;
  measure(): Promise<number>;
}

/** What each competitor reached, round by round; NaN in a round that failed, with the reason printed. */
export async function inTurns(competitors: readonly Competitor[], rounds: number): Promise<Map<string, number[]>> {
  const samples = new Map<string, number[]>(competitors.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    // Every other round backwards: nobody is always first.
    for (const competitor of round % 2 === 0 ? competitors : competitors.toReversed()) {
      try {
        samples.get(competitor.name)?.push(await competitor.measure());
      } catch (error) {
        samples.get(competitor.name)?.push(Number.NaN);
        console.error(`  ${competitor.name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
  return samples;
}

/** How many times `other` one is: the median of the rounds' own ratios, for what disturbs a round disturbs both. */
export function medianRatio(one: readonly number[], other: readonly number[]): number {
  return median(one.map((value, round) => value / (other[round] ?? Number.NaN)));
}

/** Of those that are numbers; NaN if none is. */
export function median(values: readonly number[]): number {
  const sorted = values.filter((value) => !Number.isNaN(value)).toSorted((a, b) => a - b);
  if (sorted.length === 0) return Number.NaN;
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
