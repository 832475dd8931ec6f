/** What `porthole.yml` may hold. Keys are snake_case here and become camelCase in `config-file.ts`. */
import {
  hostHeaderProblem,
  ORIGIN_PROTOCOLS,
  parseTarget,
  PortholeError,
  PROXY_VERSIONS,
  trustProblem,
} from '@porthole/agent';
import { z } from 'zod';
import { OPTIONS, type OptionName } from './options.ts';
import { relayUrlProblem } from './relay-url.ts';

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Keys that make sense for one kind of tunnel only. */
const KINDS = { http: 'http', tcp: 'tcp', tls: 'tls', serve: 'serve' } as const;
export type TunnelKind = keyof typeof KINDS;
export const TUNNEL_KINDS = Object.keys(KINDS) as TunnelKind[];

const text = z.string({ error: 'must be text' }).min(1, { error: 'must not be empty' });
const flag = z.boolean({ error: 'must be true or false' });

const verify = text.superRefine((value, context) => {
  const problem = trustProblem({ verify: value });
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
});

const hostHeader = z.string({ error: 'must be text' }).superRefine((value, context) => {
  const problem = hostHeaderProblem(value);
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
});

const target = z
  .union([z.int(), z.string()], {
    error: 'must be a port, host:port, "[::1]:port" (in quotes), http://…, https://…, grpc://… or unix:/path',
  })
  .transform(String)
  .superRefine((value, context) => {
    try {
      parseTarget(value);
    } catch (cause) {
      context.addIssue({ code: 'custom', message: cause instanceof PortholeError ? cause.detail : String(cause) });
    }
  });

export const nameSchema = z
  .string({ error: 'must be text' })
  .regex(/^(?!-)[a-z0-9-]{1,63}(?<!-)$/, { error: 'must be 1 to 63 of a-z, 0-9 and -, not - at either end' });
const portSchema = z
  .int({ error: 'must be a whole number' })
  .min(1, { error: 'must be a port from 1 to 65535' })
  .max(65_535, { error: 'must be a port from 1 to 65535' });

function described<S extends z.ZodType>(name: OptionName, schema: S): z.ZodOptional<S> {
  return schema.meta({ description: OPTIONS[name].help }).optional();
}

const tunnelShape = {
  http: described('http', target),
  tcp: described('tcp', target),
  tls: described('tls', target),
  serve: described('serve', text),
  name: described('name', nameSchema),
  domain: described(
    'domain',
    z.union([text, z.array(text).min(1, { error: 'must not be empty' })], {
      error: 'must be a domain or a list of them',
    }),
  ),
  pool: described('pool', flag),
  host_header: described('hostHeader', hostHeader),
  basic_auth_file: described('basicAuthFile', text),
  origin_protocol: described(
    'originProtocol',
    z.enum(ORIGIN_PROTOCOLS, { error: `must be one of ${ORIGIN_PROTOCOLS.join(', ')}` }),
  ),
  origin_verify: described('originVerify', verify),
  origin_server_name: described('originServerName', text),
  origin_ca_file: described('originCaFile', text),
  remote_port: described('remotePort', portSchema),
  client_ca_file: described('clientCaFile', text),
  end_to_end: described('endToEnd', flag),
  acme_directory: described('acmeDirectory', text),
  acme_email: described('acmeEmail', text),
  proxy_protocol: described('proxyProtocol', z.enum(PROXY_VERSIONS, { error: 'must be v1 or v2' })),
  listing: described('listing', flag),
  dotfiles: described('dotfiles', flag),
};

export const TUNNEL_KEYS = Object.keys(tunnelShape);

const tunnelSchema = z
  .strictObject(tunnelShape, { error: 'must be a mapping such as { http: 3000 }' })
  .superRefine((tunnel, context) => {
    const kinds = TUNNEL_KINDS.filter((kind) => tunnel[kind] !== undefined);
    const [kind] = kinds;
    if (kind === undefined || kinds.length > 1) {
      context.addIssue({
        code: 'custom',
        message: `must have exactly one of http, tcp, tls and serve${kind === undefined ? '' : `, not ${kinds.join(' and ')}`}`,
      });
      return;
    }
    for (const key of Object.keys(tunnel)) {
      const row = Object.values(OPTIONS).find((option) => 'key' in option && option.key === key);
      const fits = row === undefined || KINDS[kind] === key || (row.commands as readonly string[]).includes(kind);
      if (!fits && !(key in KINDS))
        context.addIssue({ code: 'custom', path: [key], message: `does not apply to a ${kind} tunnel` });
    }
  });

const relayUrlSchema = z.string({ error: 'must be the URL of a relay' }).superRefine((value, context) => {
  const problem = relayUrlProblem(value);
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
});

const fileShape = {
  relay: described('relay', relayUrlSchema),
  token_file: described('tokenFile', text),
  ca_file: described('caFile', text),
  log_level: described('logLevel', z.enum(LOG_LEVELS, { error: `must be one of ${LOG_LEVELS.join(', ')}` })),
  tunnels: z
    .record(
      z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, { error: 'must be 1 to 64 letters, digits, dots, - and _' }),
      tunnelSchema,
      { error: 'must be a mapping of tunnels' },
    )
    .meta({ description: 'the tunnels, each under a name of your choice for `porthole start <name>`' })
    .optional(),
};

export const FILE_KEYS = Object.keys(fileShape);

export const configSchema = z.strictObject(fileShape, { error: 'must be a mapping of keys to values' });

export type ConfigDocument = z.infer<typeof configSchema>;
export type TunnelDocument = z.infer<typeof tunnelSchema>;
