import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'mocha'
import { ComponentManager } from '#pkg/component/manager/manager.ts'
import { fakeComponent, type Behaviour } from '#pkg/component/manager/testing/fake-component.ts'
import { tempDir } from '#pkg/file/testing/temp-dir.ts'
import { silentLogger } from '#pkg/log/logger.ts'
import { runUntilStopped } from '#pkg/role/run-until-stopped.ts'
import { status } from '#pkg/status/testdata/status.ts'

async function run(dir: string, behaviour: Behaviour, signal: AbortSignal): Promise<void> {
  const manager = new ComponentManager(
    { components: [fakeComponent('etcd', [], [], behaviour)], readyTimeoutMs: 1_000 },
    { log: silentLogger },
  )
  const role = { manager, statusSocket: join(dir, 'status.sock'), status: () => status }
  await runUntilStopped({ ...role, readyMessage: 'ready', nodeName: 'n' }, { log: silentLogger, signal })
}

const broken = (what: string) => (): Promise<never> => Promise.reject(new Error(what))

describe('runUntilStopped', () => {
  const never = new AbortController().signal

  it('says why the node did not start, also when it does not stop', async () => {
    await using dir = await tempDir()
    await assert.rejects(run(dir.path, { start: broken('no disk') }, never), /cannot start etcd: no disk/)
    const both = { start: broken('no disk'), stop: broken('busy') }
    await assert.rejects(run(dir.path, both, never), /cannot start etcd: no disk/)
  })

  it('says what did not stop', async () => {
    await using dir = await tempDir()
    const stopped = AbortSignal.abort(new Error('stop'))
    await run(dir.path, {}, stopped)
    const ending = new AbortController()
    const behaviour = {
      ready: async () => {
        await Promise.resolve()
        setImmediate(() => ending.abort())
      },
      stop: broken('busy'),
    }
    await assert.rejects(run(dir.path, behaviour, ending.signal), { code: 'ERR_COMPONENT_STOP' })
  })
})
