/** The JSON Schema of `porthole.yml`, for editors. */
import { z } from 'zod';
import { configSchema } from './config-schema.ts';

export function configJsonSchema(): Record<string, unknown> {
  return { title: 'porthole.yml', ...z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' }) };
}
