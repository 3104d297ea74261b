import { adminClient, clusterCaPem, controllerStatus, publicUrl } from '#cmd/cluster-access.ts'
import { defineCommand } from '#cmd/define.ts'
import * as flag from '#cmd/flags/kinds.ts'
import { outputFlags, pathFlags, varsOf } from '#cmd/flags/shared.ts'
import type { CfgVars } from '#pkg/config/cfg-vars.ts'
import { errnoCode, errorMessage, K0sError } from '#pkg/errors/error.ts'
import type { KubeClient } from '#pkg/kubernetes/client.ts'

const roles = ['worker', 'controller'] as const
/** How often `--wait` looks again, milliseconds. */
const waitPollMs = 500

export const tokenCreate = defineCommand({
  id: 'token create',
  summary: 'Make a token that lets a host join',
  description: 'Prints the token. Whoever has it can join the cluster until it expires or is invalidated.',
  examples: [
    { description: 'A token for workers that expires in an hour', command: 'token create --expiry=1h' },
    { description: 'Right after the start of the controller', command: 'token create --role=worker --wait > token' },
  ],
  flags: {
    ...pathFlags,
    ...outputFlags({ verbose: false }),
    role: flag.choice('what the host becomes', roles, { default: 'worker' }),
    expiry: flag.duration('how long the token can be used, 0s for ever', { defaultMs: 0 }),
    wait: flag.bool('wait for the API server instead of failing while it is not up'),
  },
  run: async ({ flags, io }) => {
    const vars = varsOf(flags)
    const { role, expiry } = flags
    const create = async (): Promise<string> => createJoinToken(vars, role, expiry)
    io.stdout(`${await (flags.wait ? untilApiAnswers(create, (line) => io.stderr(`${line}\n`)) : create())}\n`)
  },
})

export const tokenList = defineCommand({
  id: 'token list',
  summary: 'List the tokens that can be used',
  examples: [
    { description: 'All tokens', command: 'token list' },
    { description: 'Those for controllers', command: 'token list --role=controller' },
  ],
  flags: {
    ...pathFlags,
    ...outputFlags({ verbose: false }),
    role: flag.optionalChoice('only tokens of this role', roles),
  },
  run: async ({ flags, io }) => {
    const [{ listTokens }, { renderTokens }] = await Promise.all([
      import('#pkg/token/token-store.ts'),
      import('#pkg/token/token-table.ts'),
    ])
    const tokens = await withAdminClient(varsOf(flags), (client) => listTokens(client, { role: flags.role }))
    io.stdout(renderTokens(tokens, new Date()))
  },
})

export const tokenInvalidate = defineCommand({
  id: 'token invalidate',
  summary: 'Make tokens unusable at once',
  description: 'Hosts that have joined with them stay in the cluster.',
  examples: [{ description: 'By the id that "k0s token list" shows', command: 'token invalidate abc123' }],
  args: [{ name: 'id', description: 'id of a token', required: true, multiple: true }],
  flags: { ...pathFlags, ...outputFlags({ verbose: false }) },
  run: async ({ flags, args, io }) => {
    const { invalidateToken } = await import('#pkg/token/token-store.ts')
    await withAdminClient(varsOf(flags), async (client) => {
      for (const id of args) io.stdout(`token ${await invalidateToken(client, id)} invalidated\n`)
    })
  },
})

export const tokenPreShared = defineCommand({
  id: 'token pre-shared',
  summary: 'Make a token before there is a cluster',
  description:
    'Writes two files: token_<id>, with which hosts join, and bootstrap-token-<id>.yaml, the Secret that makes it valid once it is in the cluster, for example from the manifests directory of a controller.',
  examples: [
    {
      description: 'For workers of a cluster whose authority has been made already',
      command: 'token pre-shared --cert=/var/lib/k0s/pki/ca.crt --url=https://10.0.0.1:6443',
    },
    {
      description: 'For controllers, valid for a day',
      command: 'token pre-shared --role=controller --cert=ca.crt --url=https://10.0.0.1:9443 --valid=24h --out=/root',
    },
  ],
  flags: {
    ...outputFlags({ verbose: false }),
    cert: flag.path("certificate of the cluster's authority"),
    url: flag.text('URL of the API server (worker) or of the join API (controller)'),
    role: flag.choice('what the host becomes', roles, { default: 'worker' }),
    out: flag.path('directory to write to', { default: '.' }),
    valid: flag.duration('how long the token can be used, 0s for ever', { defaultMs: 0 }),
  },
  run: async ({ flags, io }) => {
    const { writePreSharedToken } = await import('#pkg/token/pre-shared.ts')
    const { cert, url, role, out, valid } = flags
    const expiresAt = valid === 0 ? undefined : new Date(Date.now() + valid)
    const files = await writePreSharedToken({ certFile: cert, url, role, directory: out, expiresAt })
    io.stdout(`${files.token}\n${files.secret}\n`)
  },
})

async function createJoinToken(vars: CfgVars, role: (typeof roles)[number], expiryMs: number): Promise<string> {
  const [{ encodeJoinToken }, { createToken }, { TokenError }] = await Promise.all([
    import('#pkg/token/join-token.ts'),
    import('#pkg/token/token-store.ts'),
    import('#pkg/token/errors.ts'),
  ])
  const { SingleNode } = await controllerStatus(vars)
  if (SingleNode) {
    throw new TokenError(
      'this is a single node (--single), which nothing can join; "k0s datastore migrate" moves it to etcd, and others can join it without --single then',
    )
  }
  const server = await publicUrl(vars, role === 'worker' ? 'api' : 'join')
  const caPem = await clusterCaPem(vars)
  const expiresAt = expiryMs === 0 ? undefined : new Date(Date.now() + expiryMs)
  const bootstrapToken = await withAdminClient(vars, (client) => createToken(client, { role, expiresAt }))
  return encodeJoinToken({ role, server, caPem, bootstrapToken })
}

async function withAdminClient<T>(vars: CfgVars, use: (client: KubeClient) => Promise<T>): Promise<T> {
  const client = await adminClient(vars)
  try {
    return await use(client)
  } finally {
    client.close()
  }
}

/** A controller that starts has, one after the other, no socket, no certificates and no API server. */
async function untilApiAnswers<T>(attempt: () => Promise<T>, progress: (line: string) => void): Promise<T> {
  const [{ isTransient }, { sleep }] = await Promise.all([
    import('#pkg/kubernetes/errors.ts'),
    import('#pkg/lifecycle/sleep.ts'),
  ])
  let shown = ''
  for (;;) {
    try {
      return await attempt()
    } catch (err) {
      if (!isStarting(err) && !isTransient(err)) throw err
      const line = `waiting: ${errorMessage(err)}`
      if (line !== shown) progress(line)
      shown = line
      await sleep(waitPollMs)
    }
  }
}

/** Something that the controller makes at its start is not there yet. What may not be read will not be later either. */
export function isStarting(err: unknown): boolean {
  if (!(err instanceof K0sError)) return false
  for (let cause: unknown = err; cause instanceof Error; cause = cause.cause) {
    if (errnoCode(cause) === 'EACCES' || errnoCode(cause) === 'EPERM') return false
  }
  return ['ERR_STATUS_NOT_RUNNING', 'ERR_KUBECONFIG', 'ERR_FILE'].includes(err.code)
}
