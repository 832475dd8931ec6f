/** The relay's own count of what it holds, from its metrics. */

/** Gauges only: what must be back where it was once everybody has gone. Memory and times are not such counts. */
export async function portholeGauges(adminPort: number): Promise<Map<string, number>> {
  const response = await fetch(`http://127.0.0.1:${adminPort}/metrics`, { headers: { Connection: 'close' } });
  const lines = (await response.text()).split('\n');
  const counts = new Set(
    lines
      .map((line) => /^# TYPE (\S+) gauge$/.exec(line)?.[1])
      .filter(
        (name): name is string =>
          name !== undefined && !/_(bytes|seconds|ratio|info)$|^process_|heap|eventloop/.test(name),
      ),
  );
  const gauges = new Map<string, number>();
  for (const line of lines) {
    const match = /^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)$/.exec(line);
    if (match !== null && counts.has(match[1] as string)) gauges.set(`${match[1]}${match[2] ?? ''}`, Number(match[3]));
  }
  return gauges;
}
