import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { resetContext } from '#pkg/cleanup/testing/context.ts'
import { placedAddresses, removeVirtualAddresses } from '#pkg/cleanup/virtual-addresses.ts'
import { cfgVars } from '#pkg/config/cfg-vars.ts'

/** What a controller writes, pinned there. */
const config = readFileSync(new URL('../component/controller/testdata/keepalived.conf', import.meta.url), 'utf8')

describe('virtual addresses that a reset finds', () => {
  let runDir: string
  beforeEach(async () => {
    runDir = await mkdtemp(join(tmpdir(), 'reset-'))
  })
  afterEach(async () => {
    await rm(runDir, { recursive: true })
  })

  it('are those of every instance, on its interface', () => {
    assert.deepEqual(placedAddresses(config), [
      { interface: 'eth0', address: '192.0.2.100/24' },
      { interface: 'eth0', address: '192.0.2.101/24' },
      { interface: 'eth1', address: '2001:db8::100/64' },
    ])
    assert.deepEqual(placedAddresses(''), [])
  })

  it('are removed; one that is elsewhere is no problem, another failure is', async () => {
    await writeFile(join(runDir, 'keepalived.conf'), config)
    const run = (name: string, args: readonly string[]): Promise<string> => {
      assert.deepEqual([name, ...args.slice(0, 2)], ['ip', 'address', 'delete'])
      if (args[2] === '192.0.2.100/24') return Promise.resolve('')
      if (args[2] === '192.0.2.101/24') {
        return Promise.reject(new Error('ip: RTNETLINK answers: Cannot assign requested address'))
      }
      return Promise.reject(new Error('ip: Operation not permitted'))
    }
    const report = await removeVirtualAddresses.run(resetContext({ vars: cfgVars({ runDir }), run }))
    assert.deepEqual(report, {
      removed: ['192.0.2.100/24 (eth0)'],
      problems: ['the address 2001:db8::100/64 is left: ip: Operation not permitted'],
    })
  })

  it('are none where no keepalived was started since the boot', async () => {
    const report = await removeVirtualAddresses.run(resetContext({ vars: cfgVars({ runDir }) }))
    assert.deepEqual(report, { removed: [], problems: [] })
  })
})
