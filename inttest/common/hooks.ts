import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { checkout } from '#inttest/common/names.ts'
import { endAllShared } from '#inttest/common/shared-cluster.ts'

const logs = join(checkout, 'build', 'test-logs')
let failed = false

/** Root hooks of mocha: clusters are ended also when tests fail, and then their logs are kept in build/test-logs. */
export const mochaHooks = {
  async beforeAll(): Promise<void> {
    await rm(logs, { recursive: true, force: true })
  },
  afterEach(this: Mocha.Context): void {
    if (this.currentTest?.state === 'failed') failed = true
  },
  async afterAll(this: Mocha.Context): Promise<void> {
    this.timeout(120_000)
    await endAllShared(failed ? logs : undefined)
    if (failed) console.log(`    logs of the hosts: ${logs}`)
  },
}
