import assert from 'node:assert/strict'
import { sign } from 'node:crypto'
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import { must } from '#inttest/common/run.ts'
import { newCluster } from '#inttest/common/shared-cluster.ts'
import {
  agentArgs,
  agentPort,
  agentProgram,
  serverArgs,
  serverProgram,
  tunnelClient,
} from '#inttest/konnectivity/programs.ts'
import { Running, TunnelServer } from '#inttest/konnectivity/running.ts'

const PKI = '/mnt/pki'
const TOKEN = '/mnt/token'
const AUDIENCE = 'system:konnectivity-server'
const ACCOUNT = 'konnectivity-agent'
/** Beside the cluster's own tunnel server. */
const INDEX = 5

describe('agents with a token of a service account, reviewed by kube-apiserver', () => {
  let cluster: Cluster
  let server: TunnelServer
  let agent: Running | undefined
  before(async function () {
    if (!serverProgram().ours) this.skip() // refusals are counted on ours
    cluster = newCluster('tunnel-auth', { workers: 0 })
    await cluster.down()
    await cluster.up()
    for (const name of [ACCOUNT, 'other'])
      await cluster.mustKubectl(['create', 'serviceaccount', name, '-n', 'kube-system'])
    await certificates(cluster)
    server = await startServer(cluster)
  })
  afterEach(async () => {
    await agent?.signal('SIGKILL')
    agent = undefined
    await server.untilAgents(0)
  })
  after(async () => {
    await server.running.signal('SIGKILL')
    await cluster.down()
  })

  /** A token that kube-apiserver issues. */
  const issued = async (account = ACCOUNT, audience = AUDIENCE): Promise<string> => {
    const args = ['create', 'token', account, '-n', 'kube-system', `--audience=${audience}`]
    return (await cluster.mustKubectl(args)).trim()
  }
  async function startAgent(token: string | undefined): Promise<void> {
    if (token !== undefined) await cluster.controller.write(TOKEN, token)
    const { address } = cluster.controller
    const all = agentArgs({ id: 'agent', address, server: address, port: agentPort(INDEX), pki: PKI })
    const proof =
      token === undefined
        ? all
        : all.filter((arg) => !arg.startsWith('--agent-cert=') && !arg.startsWith('--agent-key='))
    const argv = [
      ...agentProgram().argv,
      ...proof,
      ...(token === undefined ? [] : [`--service-account-token-path=${TOKEN}`]),
    ]
    agent = new Running(await cluster.controller.spawn(argv, 'agent'), { host: cluster.controller, argv, log: 'agent' })
  }
  async function refused(): Promise<void> {
    const before = (await server.metrics()).sum('agent_refusals_total')
    await eventually('a refusal', 30_000, async () => {
      const now = (await server.metrics()).sum('agent_refusals_total')
      if (now <= before) throw new Error(`${String(now)} refusals, as before`)
    })
    assert.equal((await server.metrics()).sum('ready_backend_connections'), 0)
  }

  it('accepts the account with the audience', async () => {
    await startAgent(await issued())
    await server.untilAgents(1)
  })

  it('refuses another audience', async () => {
    await startAgent(await issued(ACCOUNT, 'somebody-else'))
    await refused()
  })

  it('refuses another account', async () => {
    await startAgent(await issued('other'))
    await refused()
  })

  it('refuses a token that expired', async () => {
    const now = Math.floor(Date.now() / 1000)
    await startAgent(await resigned(cluster, await issued(), { iat: now - 7200, nbf: now - 7200, exp: now - 3600 }))
    await refused()
  })

  it('accepts the same token signed anew: the expiry is what was refused', async () => {
    await startAgent(await resigned(cluster, await issued(), {}))
    await server.untilAgents(1)
  })

  it('refuses a signature that is not of the cluster', async () => {
    const token = await issued()
    await startAgent(`${token.slice(0, -8)}AAAAAAAA`)
    await refused()
  })

  it('refuses an agent with a certificate and no token', async () => {
    await startAgent(undefined)
    await refused()
  })

  it('reads the token again at each attempt', async () => {
    await startAgent(await issued('other'))
    await refused()
    await cluster.controller.write(TOKEN, await issued())
    await server.untilAgents(1)
  })

  it('are reviewed with the account of the pod that the server is in, where it has no kubeconfig', async () => {
    await server.running.signal('SIGKILL')
    await account(cluster)
    server = await startServer(cluster, 'pod')
    await startAgent(await issued('other'))
    await refused()
    await cluster.controller.write(TOKEN, await issued())
    await server.untilAgents(1)
  })
})

async function certificates(cluster: Cluster): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'k0s-tunnel-auth-'))
  try {
    const ips = `--ips=127.0.0.1,${cluster.controller.address}`
    await must([tunnelClient, 'certificates', `--dir=${dir}`, ips, 'server=konnectivity-server', 'agent=nobody'])
    await cp(dir, cluster.controller.diskPath(PKI), { recursive: true })
  } finally {
    await rm(dir, { recursive: true })
  }
}

/** What a pod of a service account that may review tokens finds in it. */
async function account(cluster: Cluster): Promise<void> {
  const name = 'konnectivity-server'
  await cluster.mustKubectl(['create', 'serviceaccount', name, '-n', 'kube-system'])
  const subject = `--serviceaccount=kube-system:${name}`
  await cluster.mustKubectl(['create', 'clusterrolebinding', name, '--clusterrole=system:auth-delegator', subject])
  const input = await cluster.mustKubectl(['create', 'token', name, '-n', 'kube-system'])
  const dir = '/var/run/secrets/kubernetes.io/serviceaccount'
  const script = `mkdir -p ${dir} && cat >${dir}/token && cp /var/lib/k0s/pki/ca.crt ${dir}/`
  await cluster.controller.must(['sh', '-c', script], { input })
}

async function startServer(cluster: Cluster, access: 'kubeconfig' | 'pod' = 'kubeconfig'): Promise<TunnelServer> {
  const host = cluster.controller
  const flags = { frontend: 'http-connect-uds', address: host.address, pki: PKI, index: INDEX } as const
  const pod = ['env', `KUBERNETES_SERVICE_HOST=${host.address}`, 'KUBERNETES_SERVICE_PORT=6443']
  const argv = [
    ...(access === 'pod' ? pod : []),
    ...serverProgram().argv,
    ...serverArgs(flags).filter((arg) => !arg.startsWith('--cluster-ca-cert=')),
    '--agent-namespace=kube-system',
    `--agent-service-account=${ACCOUNT}`,
    `--authentication-audience=${AUDIENCE}`,
    ...(access === 'pod' ? [] : ['--kubeconfig=/var/lib/k0s/pki/admin.conf']),
  ]
  const server = new TunnelServer(
    new Running(await host.spawn(argv, `server-${access}`), { host, argv, log: `server-${access}` }),
    flags,
  )
  await eventually('the server answers', 30_000, () => server.metrics())
  return server
}

/** A token with other claims, signed with the cluster's own key. */
async function resigned(cluster: Cluster, token: string, claims: Readonly<Record<string, number>>): Promise<string> {
  const [header = '', payload = ''] = token.split('.')
  const changed = { ...(JSON.parse(Buffer.from(payload, 'base64url').toString()) as object), ...claims }
  const signed = `${header}.${Buffer.from(JSON.stringify(changed)).toString('base64url')}`
  const key = await readFile(cluster.controller.diskPath('/var/lib/k0s/pki/sa.key'))
  const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' })
  return `${signed}.${signature.toString('base64url')}`
}
