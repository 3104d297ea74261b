import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultClusterSpec } from '#pkg/apis/defaults.ts'
import { createCa } from '#pkg/certificate/authority.ts'
import { generateKeyPem, publicKeyPem } from '#pkg/certificate/key.ts'
import { ensurePki } from '#pkg/component/controller/certificates.ts'
import type { ControllerOptions } from '#pkg/component/controller/context.ts'
import { join as joinComponent, type JoinApi } from '#pkg/component/controller/join.ts'
import { readJoinState } from '#pkg/component/controller/join-state.ts'
import { testOptions } from '#pkg/component/controller/testing/options.ts'
import { cfgVars } from '#pkg/config/cfg-vars.ts'
import { K0sError } from '#pkg/errors/error.ts'
import { silentLogger } from '#pkg/log/logger.ts'

class Delayed extends K0sError {
  override readonly code = 'ERR_JOIN_DELAYED'
}
class Killed extends Error {}

const server = 'https://192.0.2.1:9443'
const saKeyPem = generateKeyPem()
const cluster = {
  ...pair(createCa({ commonName: 'kubernetes-ca', validForMs: 3_600_000 })),
  saKeyPem,
  saPublicPem: publicKeyPem(saKeyPem),
}
const etcd = pair(createCa({ commonName: 'etcd-ca', validForMs: 3_600_000 }))
const initialCluster = ['c0=https://192.0.2.1:2380', 'c1=https://192.0.2.2:2380']

function pair({ certPem, keyPem }: { certPem: string; keyPem: string }): { certPem: string; keyPem: string } {
  return { certPem, keyPem }
}

describe('a controller that joins', () => {
  let dataDir: string
  let options: ControllerOptions
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'k0s-join-'))
    const spec = defaultClusterSpec()
    options = testOptions({
      vars: cfgVars({ dataDir, runDir: join(dataDir, 'run') }),
      spec: {
        ...spec,
        api: { ...spec.api, address: '192.0.2.2' },
        storage: { ...spec.storage, type: 'etcd', etcd: { ...spec.storage.etcd, peerAddress: '192.0.2.2' } },
      },
      nodeName: 'c1',
    })
  })
  afterEach(() => rm(dataDir, { recursive: true }))

  /** A running controller; what it is asked is noted. */
  const controller = (changes: Partial<JoinApi> = {}): JoinApi & { readonly asked: string[] } => {
    const asked: string[] = []
    return {
      asked,
      authority: (...args) => {
        asked.push('authority')
        return changes.authority?.(...args) ?? Promise.resolve(cluster)
      },
      joinEtcd: (...args) => {
        asked.push(`etcd ${JSON.stringify(args[0])}`)
        return changes.joinEtcd?.(...args) ?? Promise.resolve({ authority: etcd, initialCluster })
      },
    }
  }
  const start = (api: JoinApi, of = options): Promise<void> =>
    joinComponent(of, { api, server }).start({ signal: new AbortController().signal, log: silentLogger })
  const text = (path: string): Promise<string> => readFile(join(dataDir, 'pki', path), 'utf8')

  it('has the authorities of the cluster, its keys private, and is a member of etcd', async () => {
    const api = controller()
    await start(api)
    assert.deepEqual(api.asked, ['authority', 'etcd {"node":"c1","peerAddress":"192.0.2.2"}'])
    assert.equal(await text('ca.key'), cluster.keyPem)
    assert.equal(await text('sa.pub'), cluster.saPublicPem)
    assert.equal(await text('etcd/ca.crt'), etcd.certPem)
    for (const key of ['ca.key', 'sa.key', 'etcd/ca.key']) {
      assert.equal((await stat(join(dataDir, 'pki', key))).mode & 0o777, 0o600, key)
    }
    assert.deepEqual(await readJoinState(options.vars), { step: 'member', server, initialCluster })
    const { authorities, serviceAccount } = await ensurePki(options, silentLogger)
    assert.equal(authorities.ca.certPem, cluster.certPem)
    assert.equal(authorities.etcdCa.certPem, etcd.certPem)
    assert.equal(serviceAccount.keyPem, saKeyPem)
  })

  it('goes on from wherever it was killed', async () => {
    const killed = (): Promise<never> => Promise.reject(new Killed())
    await assert.rejects(start(controller({ authority: killed })), Killed)
    assert.equal((await readJoinState(options.vars))?.step, 'authorities')
    await assert.rejects(start(controller({ joinEtcd: killed })), Killed)
    assert.equal((await readJoinState(options.vars))?.step, 'authorities')
    await start(controller())
    const again = controller()
    await start(again)
    assert.deepEqual(again.asked, ['etcd {"node":"c1","peerAddress":"192.0.2.2"}'], 'members may have changed')
  })

  it('completes files of which some were written before a kill', async () => {
    for (const missing of ['ca.crt', 'ca.key', 'sa.key', 'sa.pub']) {
      await start(controller())
      await rm(join(dataDir, 'pki', missing))
      await rm(join(dataDir, 'join.json'))
      await start(controller())
      assert.ok((await readdir(join(dataDir, 'pki'))).includes(missing))
    }
  })

  it('waits for its turn, but not for what waiting cannot change', async () => {
    let tries = 0
    await start(
      controller({
        joinEtcd: () => {
          tries += 1
          if (tries < 3) return Promise.reject(new Delayed('another controller is joining'))
          return Promise.resolve({ authority: etcd, initialCluster })
        },
      }),
    )
    assert.equal(tries, 3)
    await assert.rejects(start(controller({ joinEtcd: () => Promise.reject(new Error('refused')) })), /refused/)
  })

  it('never replaces an authority of another cluster', async () => {
    const own = createCa({ commonName: 'kubernetes-ca', validForMs: 3_600_000 })
    await start(controller())
    await rm(join(dataDir, 'join.json'))
    await writeFile(join(dataDir, 'pki', 'ca.crt'), own.certPem)
    const api = controller()
    await assert.rejects(start(api), /ca\.crt is not of the cluster that this host is to join/)
    assert.equal(await text('ca.crt'), own.certPem)
    assert.ok(!api.asked.some((request) => request.startsWith('etcd')))
  })

  it('with a shared database needs the authorities only', async () => {
    const { spec } = options
    const api = controller()
    await start(api, { ...options, spec: { ...spec, storage: { ...spec.storage, type: 'kine' } } })
    assert.deepEqual(api.asked, ['authority'])
    assert.equal((await readJoinState(options.vars))?.step, 'joined')
  })
})
