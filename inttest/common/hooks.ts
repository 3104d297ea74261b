import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { endAllShared, testLogs } from '#inttest/common/shared-cluster.ts'

let failed = false

/** Root hooks of mocha: clusters are ended also when tests fail, and then the logs of their hosts are kept. */
export const mochaHooks = {
  async beforeAll(): Promise<void> {
    await rm(testLogs, { recursive: true, force: true })
  },
  afterEach(this: Mocha.Context): void {
    if (this.currentTest?.state === 'failed') failed = true
  },
  async afterAll(this: Mocha.Context): Promise<void> {
    this.timeout(120_000)
    await endAllShared()
    if (!failed) await rm(testLogs, { recursive: true, force: true })
    else if (existsSync(testLogs)) console.log(`    logs of the hosts: ${testLogs}`)
  },
}
