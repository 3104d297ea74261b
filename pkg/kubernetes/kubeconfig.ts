import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { parse, stringify } from 'yaml'
import { errorMessage, K0sError } from '#pkg/errors/error.ts'
import type { KubeClientOptions } from '#pkg/kubernetes/client.ts'
import { tokenFile } from '#pkg/kubernetes/token-file.ts'

/** What a kubeconfig for one user of one cluster holds. Give either PEM (embedded), files (referenced) or a token. */
export interface Kubeconfig {
  readonly server: string
  readonly caPem?: string | undefined
  readonly certPem?: string | undefined
  readonly keyPem?: string | undefined
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
  readonly token?: string | undefined
  /** Wins over `token`, and is read again. */
  readonly tokenFile?: string | undefined
  /** Name of the user entry, for example `kubelet-bootstrap`. Default `user`. */
  readonly user?: string | undefined
  /** Default `k0s`. */
  readonly cluster?: string | undefined
  /** Default `k0s`. */
  readonly context?: string | undefined
}

/** A kubeconfig cannot be read or has not what it takes to reach a cluster. */
export class KubeconfigError extends K0sError {
  override readonly code = 'ERR_KUBECONFIG'
}

/** The file as YAML, for kubectl and every client-go program. */
export function renderKubeconfig(config: Kubeconfig): string {
  const { server, caPem, certPem, keyPem, certFile, keyFile, token } = config
  const { user = 'user', cluster = 'k0s', context = 'k0s' } = config
  return stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: cluster, cluster: defined({ server, 'certificate-authority-data': base64(caPem) }) }],
      contexts: [{ name: context, context: { cluster, user } }],
      'current-context': context,
      users: [
        {
          name: user,
          user: defined({
            'client-certificate-data': base64(certPem),
            'client-key-data': base64(keyPem),
            'client-certificate': certFile,
            'client-key': keyFile,
            token,
            tokenFile: config.tokenFile,
          }),
        },
      ],
    },
    { lineWidth: 0 },
  )
}

/**
 * The current context's cluster and user. Relative file names stay as they are: `loadKubeconfig` resolves them.
 *
 * @throws KubeconfigError for text that is no kubeconfig, or whose current context leads nowhere
 */
export function parseKubeconfig(text: string): Kubeconfig {
  const file = parseFile(text)
  const contextName = file['current-context'] ?? file.contexts?.[0]?.name
  const context = file.contexts?.find(({ name }) => name === contextName)
  const cluster = file.clusters?.find(({ name }) => name === context?.context?.cluster)
  const user = file.users?.find(({ name }) => name === context?.context?.user)
  const server = cluster?.cluster?.server
  if (context === undefined || cluster === undefined || typeof server !== 'string' || !URL.canParse(server)) {
    throw new KubeconfigError(
      `kubeconfig: the current context ${JSON.stringify(contextName)} names no cluster with a server URL; create the file anew`,
    )
  }
  const credentials = user?.user ?? {}
  return defined({
    server,
    caPem: unbase64(cluster.cluster?.['certificate-authority-data']),
    certPem: unbase64(credentials['client-certificate-data']),
    keyPem: unbase64(credentials['client-key-data']),
    certFile: credentials['client-certificate'],
    keyFile: credentials['client-key'],
    token: credentials['token'],
    tokenFile: credentials['tokenFile'],
    user: context.context?.user,
    cluster: context.context?.cluster,
    context: context.name,
  })
}

/** Reads a kubeconfig file and the files that it names: certificate, key, and the token at each request. @throws KubeconfigError */
export async function loadKubeconfig(path: string): Promise<KubeClientOptions> {
  try {
    const config = parseKubeconfig(await readFile(path, 'utf8'))
    const place = (file: string): string => resolve(dirname(path), file)
    const read = async (pem: string | undefined, file: string | undefined): Promise<string | undefined> =>
      pem ?? (file === undefined ? undefined : await readFile(place(file), 'utf8'))
    const readToken = config.tokenFile === undefined ? undefined : tokenFile(place(config.tokenFile))
    await readToken?.()
    return {
      server: config.server,
      caPem: config.caPem,
      certPem: await read(config.certPem, config.certFile),
      keyPem: await read(config.keyPem, config.keyFile),
      token: config.token,
      ...(readToken && { readToken }),
    }
  } catch (cause) {
    throw new KubeconfigError(`cannot use kubeconfig ${path}: ${errorMessage(cause)}`, { cause })
  }
}

interface KubeconfigFile {
  readonly 'current-context'?: string
  readonly clusters?: readonly Named<'cluster', { server?: string; 'certificate-authority-data'?: string }>[]
  readonly contexts?: readonly Named<'context', { cluster?: string; user?: string }>[]
  readonly users?: readonly Named<'user', Readonly<Record<string, string>>>[]
}
type Named<Key extends string, Value> = { readonly name?: string } & { readonly [K in Key]?: Value }

function parseFile(text: string): KubeconfigFile {
  let file: unknown
  try {
    file = parse(text)
  } catch (cause) {
    throw new KubeconfigError(`kubeconfig: not YAML: ${errorMessage(cause).split('\n')[0] ?? ''}`, { cause })
  }
  if (typeof file !== 'object' || file === null || (file as { kind?: unknown }).kind !== 'Config') {
    throw new KubeconfigError('kubeconfig: not a document of kind Config')
  }
  return file
}

function base64(text: string | undefined): string | undefined {
  return text === undefined ? undefined : Buffer.from(text).toString('base64')
}

function unbase64(text: string | undefined): string | undefined {
  return text === undefined ? undefined : Buffer.from(text, 'base64').toString('utf8')
}

/** Drops keys whose value is undefined. */
function defined<T extends object>(object: T): T {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T
}
