import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'mocha'
import { splitHostPort } from '#pkg/component/worker/host-port.ts'
import { imageImport } from '#pkg/component/worker/images.ts'
import { Latest } from '#pkg/component/worker/latest.ts'
import { testWorkerConfig, testWorkerContext } from '#pkg/component/worker/testing/worker-config.ts'
import {
  decodeWorkerConfig,
  recallApiServers,
  recallWorkerConfig,
  rememberWorkerConfig,
  workerConfig,
} from '#pkg/component/worker/worker-config.ts'
import type { WorkerContext } from '#pkg/component/worker/worker-context.ts'
import { silentLogger } from '#pkg/log/logger.ts'

const config = testWorkerConfig()
const start = { signal: new AbortController().signal, log: silentLogger }
const map = (data: Readonly<Record<string, string>>) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'worker-config-default-1.36' },
  data,
})

let dir: string
let context: WorkerContext
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'worker-'))
  await mkdir(join(dir, 'data/containerd'), { recursive: true })
  context = testWorkerContext(dir, { caPem: '', certify: () => Promise.reject(new Error('not expected')) })
})
afterEach(async () => {
  await rm(dir, { recursive: true })
})

describe('decodeWorkerConfig', () => {
  const encoded = Object.fromEntries(Object.entries(config).map(([key, value]) => [key, JSON.stringify(value)]))

  it('reads one JSON value a key, and passes over what it does not know', () => {
    assert.deepEqual(decodeWorkerConfig(map(encoded)), config)
    assert.equal('later' in decodeWorkerConfig(map({ ...encoded, later: '1' })), true)
  })

  it('names the ConfigMap and the field that is missing or broken', () => {
    const { network, ...rest } = encoded
    assert.ok(network)
    assert.throws(() => decodeWorkerConfig(map(rest)), /kube-system\/worker-config-default-1[.]36 has no network/)
    assert.throws(() => decodeWorkerConfig(map({ ...encoded, kubeProxy: '{' })), /the value of kubeProxy is not JSON/)
  })
})

describe('worker-config', () => {
  it('is remembered for its profile; the addresses for any', async () => {
    const file = join(dir, 'config.json')
    assert.equal(await recallWorkerConfig(file, 'default'), undefined)
    await rememberWorkerConfig(file, { profile: 'default', config })
    assert.deepEqual(await recallWorkerConfig(file, 'default'), config)
    assert.equal(await recallWorkerConfig(file, 'other'), undefined)
    assert.deepEqual(await recallApiServers(file), ['10.0.0.1:6443'])
    assert.equal((await stat(file)).mode & 0o777, 0o600)
    await writeFile(file, '{"profile":')
    assert.equal(await recallWorkerConfig(file, 'default'), undefined)
    assert.deepEqual(await recallApiServers(file), [])
  })

  it('is read from the API once, and starts without it afterwards', async () => {
    let reads = 0
    const read = () => {
      reads += 1
      return Promise.resolve(config)
    }
    const remote: WorkerContext = { ...context, deps: { ...context.deps, configSource: { local: false, read } } }
    for (let i = 0; i < 2; i += 1) await workerConfig({ ...remote, config: new Latest('x') }).start(start)
    assert.equal(reads, 1)
    const local: WorkerContext = { ...context, deps: { ...context.deps, configSource: { local: true, read } } }
    await workerConfig(local).start(start)
    assert.equal(reads, 2, 'a controller knows better than what was remembered')
  })
})

describe('image-import', () => {
  it('imports and pins every archive once, and again when it changed', async () => {
    const calls: string[][] = []
    const shipped = join(dir, 'pause.tar')
    const users = join(dir, 'data/images/mine.tar')
    await mkdir(join(dir, 'data/images'))
    for (const path of [shipped, users, join(dir, 'data/images/README')]) await writeFile(path, 'x')
    const importing: WorkerContext = {
      ...context,
      deps: {
        ...context.deps,
        binaries: { ...context.deps.binaries, stage: (name) => Promise.resolve(`/bin/${name}`) },
        runOnce: ({ path, args }) => {
          calls.push([path, ...args])
          return Promise.resolve({ stdout: '', stderr: '' })
        },
        imageArchives: () => [{ name: 'pause', ref: 'k0s.local/pause:1', path: shipped }],
      },
    }
    await imageImport(importing).start(start)
    assert.deepEqual(calls.map((argv) => argv.at(-1)).sort(), [users, shipped].sort())
    for (const argv of calls) {
      assert.equal(argv[0], '/bin/ctr')
      assert.ok(argv.includes('--namespace=k8s.io') && argv.includes('--label=io.cri-containerd.pinned=pinned'))
    }
    await imageImport(importing).start(start)
    assert.equal(calls.length, 2, 'nothing changed')
    await writeFile(users, 'longer')
    await imageImport(importing).start(start)
    assert.equal(calls.length, 3)
    assert.equal(calls.at(-1)?.at(-1), users)
  })
})

describe('Latest', () => {
  it('is followed until that is ended, and cannot be read before it is set', () => {
    const latest = new Latest<number>('the number')
    assert.throws(() => latest.get(), /the number is read before it is known/)
    const seen: number[] = []
    const end = latest.follow((value) => seen.push(value))
    latest.set(1)
    end()
    latest.set(2)
    assert.deepEqual([seen, latest.get(), latest.peek()], [[1], 2, 2])
  })
})

describe('splitHostPort', () => {
  it('knows names, both families, and the default port', () => {
    assert.deepEqual(splitHostPort('a.example:7443'), { host: 'a.example', port: 7443 })
    assert.deepEqual(splitHostPort('10.0.0.1'), { host: '10.0.0.1', port: 6443 })
    assert.deepEqual(splitHostPort('[fd00::1]:6443'), { host: 'fd00::1', port: 6443 })
  })
})
