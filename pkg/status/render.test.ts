import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { renderComponents, renderStatus } from '#pkg/status/render.ts'
import { componentsInfo, summaries } from '#pkg/status/server.ts'
import { reports, status } from '#pkg/status/testdata/status.ts'

const golden = (name: string): string => readFileSync(join(import.meta.dirname, 'testdata', name), 'utf8')
const Components = summaries(reports)

describe('renderStatus', () => {
  for (const format of ['text', 'json', 'yaml'] as const) {
    it(`prints ${format}`, () => {
      assert.equal(renderStatus({ ...status, Components }, format), golden(`status.${format}`))
    })
  }

  it('shows the connection to the API and the service of a worker', () => {
    const worker = {
      ...status,
      Role: 'worker',
      Workloads: true,
      SysInit: 'linux-systemd',
      Storage: undefined,
      StubFile: '/etc/systemd/system/k0sworker.service',
      WorkerToAPIConnectionStatus: { Message: 'connection refused', Success: false },
      Components: Components.slice(0, 1),
    }
    assert.equal(renderStatus(worker, 'text'), golden('status-worker.text'))
  })
})

describe('renderComponents', () => {
  for (const format of ['text', 'json', 'yaml'] as const) {
    it(`prints ${format}`, () => {
      const info = componentsInfo(reports, 2)
      assert.equal(renderComponents({ components: Components, info }, format), golden(`components.${format}`))
    })
  }
})
