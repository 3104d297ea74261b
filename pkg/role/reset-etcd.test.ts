import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { describe, it } from 'mocha'
import { rememberMembers } from '#pkg/component/controller/etcd-peers.ts'
import { cfgVars } from '#pkg/config/cfg-vars.ts'
import { etcdClientFiles } from '#pkg/etcd/client-files.ts'
import { testAuthority, testTls } from '#pkg/etcd/testing/member.ts'
import { tempDir } from '#pkg/file/testing/temp-dir.ts'
import { leaveEtcd } from '#pkg/role/reset-etcd.ts'
import { recordingLogger } from '#pkg/supervisor/testing/recording-logger.ts'

const ADDRESS = '192.0.2.7'
const own = { id: '7', name: 'c7', peerUrls: [`https://${ADDRESS}:2380`], isLearner: false }

describe('a controller that is reset', function () {
  this.timeout(30_000)
  const tls = testTls(testAuthority())

  /** The peer port of another member, which knows `members`, as etcd answers there. */
  async function otherMember(members: readonly { id: number; peerURLs: readonly string[]; isLearner?: boolean }[]) {
    const { caPem: ca, certPem: cert, keyPem: key } = tls
    const server = https.createServer(
      { ca, cert, key, requestCert: true, rejectUnauthorized: true },
      (request, reply) => {
        reply.writeHead(request.url === '/members' ? 200 : 404).end(JSON.stringify(members))
      },
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return {
      url: `https://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
      async [Symbol.asyncDispose]() {
        server.closeAllConnections()
        await new Promise((closed) => server.close(closed))
      },
    }
  }

  /** Runs the step on a host that last knew itself and those at `others`. */
  async function leave(others: readonly string[], { hasLog = true } = {}) {
    await using dir = await tempDir()
    const vars = cfgVars({ dataDir: join(dir.path, 'data'), runDir: join(dir.path, 'run') })
    const configFile = join(dir.path, 'k0s.yaml')
    const spec = { api: { address: ADDRESS }, storage: { type: 'etcd', etcd: { peerAddress: ADDRESS } } }
    const write = async (path: string, text: string): Promise<void> => {
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, text)
    }
    await write(configFile, JSON.stringify({ apiVersion: 'k0s.k0sproject.io/v1beta1', kind: 'ClusterConfig', spec }))
    const files = etcdClientFiles(vars)
    await Promise.all([write(files.ca, tls.caPem), write(files.cert, tls.certPem), write(files.key, tls.keyPem)])
    if (hasLog) await write(join(vars.etcdDataDir, 'member', 'wal', '0000000000000000-0000000000000000.wal'), '')
    const known = others.map((url, i) => ({ id: String(i), name: `c${String(i)}`, peerUrls: [url], isLearner: false }))
    await rememberMembers(vars, [own, ...known])
    const log = recordingLogger()
    const context = {
      vars,
      log,
      signal: new AbortController().signal,
      worker: false,
      unfinished: false,
      root: dir.path,
    }
    const report = await leaveEtcd({ configFile }).run({ ...context, run: () => Promise.resolve(undefined) })
    assert.deepEqual(report, { removed: [], problems: [] })
    return log.lines.map(({ level, message, fields }) => ({ level, message, ...fields }))
  }
  const remains = (reason: string) => [
    {
      level: 'warn',
      message: 'this controller may still be a member of etcd',
      reason,
      remedy: `run "k0s etcd leave --peer-address ${ADDRESS}" on a controller that stays, once most of them run`,
    },
  ]

  it('says what is left to do when nobody answers that could let it go, and goes on', async () => {
    const { url } = await goneMember()
    const host = url.slice('https://'.length)
    assert.deepEqual(
      await leave([url]),
      remains(`no other member of etcd answers (${host} does not answer: connect ECONNREFUSED ${host})`),
    )
  })

  it('says so of a learner, which only others remove; the first that answers is asked', async () => {
    const gone = await goneMember()
    await using other = await otherMember([
      { id: 1, peerURLs: ['https://192.0.2.1:2380'] },
      { id: 7, peerURLs: own.peerUrls, isLearner: true },
    ])
    assert.deepEqual(await leave([gone.url, other.url]), remains('it is a learner, which is removed by others only'))
  })

  it('says nothing when it is no member, was never one, or is the only one', async () => {
    await using other = await otherMember([{ id: 1, peerURLs: ['https://192.0.2.1:2380'] }])
    assert.deepEqual(await leave([other.url]), [])
    const gone = await goneMember()
    assert.deepEqual(await leave([gone.url], { hasLog: false }), [])
    assert.deepEqual(await leave([]), [])
  })

  /** Where nobody listens any more. */
  async function goneMember(): Promise<{ readonly url: string }> {
    await using server = await otherMember([])
    return { url: server.url }
  }
})
