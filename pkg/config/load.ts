import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { withDefaults } from '#pkg/apis/defaults.ts'
import { asJsonSchema } from '#pkg/apis/json-schema.ts'
import { clusterConfigSchema, type ClusterConfig, type ClusterSpec } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'
import { type CfgVars, defaultConfigFile } from '#pkg/config/cfg-vars.ts'
import { effectWarnings } from '#pkg/config/effects.ts'
import { ConfigError, type Problem } from '#pkg/config/problem.ts'
import { ruleProblems } from '#pkg/config/rules.ts'
import { validate } from '#pkg/config/validate.ts'
import { parseYaml } from '#pkg/config/yaml.ts'
import { errnoCode, errorMessage } from '#pkg/errors/error.ts'
import { firstAddress } from '#pkg/net/local.ts'

/** What a controller runs with. */
export interface NodeConfig {
  /** With all defaults; `api.address`, `storage.type` and `storage.etcd.peerAddress` are always there. */
  readonly spec: ResolvedSpec
  readonly vars: CfgVars
  /** Name of this host. */
  readonly nodeName: string
  /** Keys that were given but have no effect. */
  readonly warnings: readonly Problem[]
}

/** A spec in which what depends on the host is filled in. */
export type ResolvedSpec = ClusterSpec & {
  readonly api: ClusterSpec['api'] & { readonly address: string }
  readonly storage: ClusterSpec['storage'] & {
    readonly type: 'etcd' | 'kine'
    readonly etcd: ClusterSpec['storage']['etcd'] & { readonly peerAddress: string }
  }
}

/** What `loadNodeConfig` needs to know. */
export interface LoadOptions {
  /** Path of the file, `-` for standard input. The default path need not exist. */
  readonly configFile: string
  readonly vars: CfgVars
  /** `--single`: SQLite unless the file says otherwise. */
  readonly single: boolean
  /** Name of this host. Default: what the kernel says, in lower case. */
  readonly nodeName?: string
}

/** Read, validated, with defaults: what `config validate` looks at. */
export interface CheckedConfig {
  readonly config: ClusterConfig
  readonly warnings: readonly Problem[]
}

/**
 * Loads the configuration of a controller and fills in what depends on the host.
 *
 * @throws ConfigError with all problems.
 */
export async function loadNodeConfig(options: LoadOptions): Promise<NodeConfig> {
  const { vars, single } = options
  const { source, text } = await readConfig(options.configFile)
  const { config, warnings } = checkConfig(text, source)
  const address = config.spec.api.address ?? firstAddress()
  if (address === undefined) {
    const message = 'this host has no address but loopback: give the one that workers reach it by'
    throw new ConfigError(source, [{ path: 'spec.api.address', message }])
  }
  const { spec } = config
  const resolved: ResolvedSpec = {
    ...spec,
    api: { ...spec.api, address },
    storage: {
      ...spec.storage,
      type: spec.storage.type ?? (single ? 'kine' : 'etcd'),
      etcd: { ...spec.storage.etcd, peerAddress: spec.storage.etcd.peerAddress ?? address },
    },
  }
  return { spec: resolved, vars, nodeName: options.nodeName ?? hostname().toLowerCase(), warnings }
}

/**
 * Validates the text of a configuration; touches nothing.
 *
 * @throws ConfigError with all problems.
 */
export function checkConfig(text: string, source: string): CheckedConfig {
  const parsed = parseYaml(text)
  if ('problems' in parsed) throw new ConfigError(source, parsed.problems)
  const schema = asJsonSchema(clusterConfigSchema)
  const problems = validate(schema, parsed.value)
  if (problems.length > 0) throw new ConfigError(source, problems)
  const config = withDefaults(schema, parsed.value) as ClusterConfig
  const broken = ruleProblems(config.spec)
  if (broken.length > 0) throw new ConfigError(source, broken)
  return { config, warnings: effectWarnings(parsed.value) }
}

/**
 * The text of a configuration and how to call it in messages.
 *
 * @throws ConfigError when it cannot be read.
 */
export async function readConfig(configFile: string): Promise<{ readonly source: string; readonly text: string }> {
  if (configFile === '-') return { source: 'standard input', text: await readStdin() }
  try {
    return { source: configFile, text: await readFile(configFile, 'utf8') }
  } catch (cause) {
    if (errnoCode(cause) === 'ENOENT' && configFile === defaultConfigFile) return { source: configFile, text: '' }
    const reason = errnoCode(cause) === 'ENOENT' ? 'there is no such file' : errorMessage(cause)
    throw new ConfigError(configFile, [{ path: '', message: reason }], { cause })
  }
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk as Uint8Array))
  return Buffer.concat(chunks).toString('utf8')
}
