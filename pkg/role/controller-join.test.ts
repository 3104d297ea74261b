import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultClusterSpec } from '#pkg/apis/defaults.ts'
import { writeJoinState, type JoinState } from '#pkg/component/controller/join-state.ts'
import { cfgVars, type CfgVars } from '#pkg/config/cfg-vars.ts'
import type { NodeConfig } from '#pkg/config/load.ts'
import { silentLogger } from '#pkg/log/logger.ts'
import { controllerJoin } from '#pkg/role/controller-join.ts'
import { encodeJoinToken } from '#pkg/token/join-token.ts'
import type { TokenSource } from '#pkg/token/token-source.ts'

const tokenFor = (role: 'controller' | 'worker'): string =>
  encodeJoinToken({
    role,
    server: 'https://192.0.2.1:9443',
    caPem: '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n',
    bootstrapToken: { id: 'abcdef', secret: '0123456789abcdef' },
  })
const joinToken = tokenFor('controller')
const server = 'https://192.0.2.1:9443'
/** What is left of a token whose file somebody removed. */
const gone: TokenSource = () => Promise.reject(new Error('cannot read the join token'))

describe('whether a host joins', () => {
  let dataDir: string
  let vars: CfgVars
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'k0s-join-'))
    vars = cfgVars({ dataDir, runDir: join(dataDir, 'run') })
  })
  afterEach(() => rm(dataDir, { recursive: true }))

  const decide = (token?: string | TokenSource, type: 'etcd' | 'kine' = 'etcd'): ReturnType<typeof controllerJoin> => {
    const spec = defaultClusterSpec()
    const storage = { ...spec.storage, type, etcd: { ...spec.storage.etcd, peerAddress: '192.0.2.2' } }
    const config: NodeConfig = {
      spec: { ...spec, api: { ...spec.api, address: '192.0.2.2' }, storage },
      vars,
      nodeName: 'c1',
      warnings: [],
    }
    const source = typeof token === 'string' ? () => Promise.resolve(token) : token
    return controllerJoin({ single: false, dryRun: false, joinToken: source }, config, silentLogger)
  }
  const file = async (path: string): Promise<void> => {
    await mkdir(join(path, '..'), { recursive: true })
    await writeFile(path, 'x')
  }
  const etcdLog = (): Promise<void> => file(join(vars.etcdDataDir, 'member', 'wal', '0-0.wal'))
  const state = (step: JoinState['step']): Promise<void> => writeJoinState(vars, { step, server })

  it('is decided by its token when it is new', async () => {
    assert.equal(await decide(), undefined)
    assert.equal((await decide(joinToken))?.server, server)
    await assert.rejects(decide(tokenFor('worker')), /is for a worker, not for a controller/)
  })

  it('is settled once it has joined or founded a cluster: any token is ignored', async () => {
    await state('joined')
    for (const token of [undefined, joinToken, 'used up']) assert.equal(await decide(token), undefined)
    await rm(join(dataDir, 'join.json'))
    await etcdLog()
    assert.equal(await decide('used up'), undefined)
    assert.equal(await decide(gone), undefined)
  })

  it('cannot do without the file of its token while it has not joined: it would found a cluster of its own', async () => {
    await assert.rejects(decide(gone), /cannot read the join token/)
  })

  it('with a shared database is settled by the keys that are there', async () => {
    assert.ok(await decide(joinToken, 'kine'))
    await file(join(vars.pkiDir, 'ca.key'))
    await file(join(vars.pkiDir, 'sa.key'))
    assert.equal(await decide(joinToken, 'kine'), undefined)
    assert.ok(await decide(joinToken, 'etcd'), 'an authority that the user placed does not make a member of etcd')
  })

  for (const step of ['authorities', 'member'] as const) {
    it(`goes on after a kill at "${step}", with a token only`, async () => {
      await state(step)
      assert.ok(await decide(joinToken))
      await assert.rejects(decide(), /has begun to join the cluster at https:\/\/192\.0\.2\.1:9443 and was interrupted/)
    })
  }

  it('needs no token any more once etcd has a log', async () => {
    await state('member')
    await etcdLog()
    for (const token of [undefined, 'used up']) assert.equal(await decide(token), undefined)
  })
})
