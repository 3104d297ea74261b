import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { renderComponents, renderStatus } from '#pkg/status/render.ts'
import { componentsInfo, summaries } from '#pkg/status/server.ts'
import { bytesText } from '#pkg/status/render-tunnel.ts'
import { reports, status, tunnel } from '#pkg/status/testdata/status.ts'

const golden = (name: string): string => readFileSync(join(import.meta.dirname, 'testdata', name), 'utf8')
const Components = summaries(reports)

describe('renderStatus', () => {
  for (const format of ['text', 'json', 'yaml'] as const) {
    it(`prints ${format}`, () => {
      assert.equal(renderStatus({ ...status, Components }, format), golden(`status.${format}`))
    })
  }

  for (const format of ['text', 'json', 'yaml'] as const) {
    it(`shows both ends of the tunnel as ${format}`, () => {
      const shown = renderStatus({ ...status, Tunnel: tunnel, Components }, format)
      assert.equal(shown, golden(`status-tunnel.${format}`))
    })
  }

  it('shows a tunnel server that does not answer, and one without workers', () => {
    const text = (Tunnel: typeof tunnel): string => renderStatus({ ...status, Tunnel, Components }, 'text')
    assert.match(
      text({ Error: 'connection refused' }),
      /^Tunnel: the tunnel server does not answer: connection refused$/m,
    )
    assert.match(text({ Workers: [] }), /^Tunnel: 0 of 0 workers connected\n$/m)
  })

  it('shows what a component warns of, though it serves', () => {
    const warned = [{ ...Components[0]!, warnings: ['its disk is slow', 'it does not reach b'] }]
    assert.match(
      renderStatus({ ...status, Components: warned }, 'text'),
      /^Components: 1 of 1 ready\nWarning: etcd: its disk is slow\nWarning: etcd: it does not reach b$/m,
    )
    const table = renderComponents({ components: warned, info: componentsInfo(reports, 2) }, 'text')
    assert.match(table, /^etcd +ready .* its disk is slow; it does not reach b$/m)
  })

  it('writes bytes as people do', () => {
    const written = [0, 1023, 1024, 1536, 1024 ** 2 - 1, 1024 ** 5].map(bytesText)
    assert.deepEqual(written, ['0 B', '1023 B', '1.0 KiB', '1.5 KiB', '1024.0 KiB', '1024.0 TiB'])
  })

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
