/** Members of JSON whose shape nobody has promised: an authority's answers, documents of another release. */

export function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

export function stringOf(value: unknown, name: string): string | undefined {
  const field = fieldOf(value, name);
  return typeof field === 'string' ? field : undefined;
}

export function numberOf(value: unknown, name: string): number | undefined {
  const field = fieldOf(value, name);
  return typeof field === 'number' && Number.isFinite(field) ? field : undefined;
}

/** Undefined unless every item is a string. */
export function stringsOf(value: unknown, name: string): string[] | undefined {
  const field = fieldOf(value, name);
  return Array.isArray(field) && field.every((item) => typeof item === 'string') ? field : undefined;
}
