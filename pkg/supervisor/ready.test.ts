import assert from 'node:assert/strict'
import { ProbeError } from '#pkg/net/probe.ts'
import { processReady } from '#pkg/supervisor/ready.ts'

const refused = (): Promise<never> => Promise.reject(new ProbeError('connection refused'))

describe('processReady', () => {
  it('passes what the probe found', async () => {
    await processReady({ restarts: 9, lastExit: 'exit code 1' }, () => Promise.resolve('ok'))
    await assert.rejects(processReady({ restarts: 0, lastExit: undefined }, refused), { message: 'connection refused' })
  })

  it('adds how the process ended', async () => {
    await assert.rejects(processReady({ restarts: 1, lastExit: 'exit code 1: Error: bad flag' }, refused), {
      code: 'ERR_PROBE',
      message: 'connection refused; its process ended (exit code 1: Error: bad flag)',
    })
  })

  it('does not blame an end of long ago', async () => {
    const process = { restarts: 40, failures: 0, lastExit: 'ended by SIGKILL' }
    await assert.rejects(processReady(process, refused), { message: 'connection refused' })
  })

  it('gives up on a crash loop, and on a process that was never started', async () => {
    await assert.rejects(
      processReady({ restarts: 9, failures: 7, lastExit: 'exit code 1: Error: bad flag' }, refused),
      {
        code: 'ERR_PROCESS_CRASH_LOOP',
        message: 'its process was started 7 times and ended each time; last: exit code 1: Error: bad flag',
      },
    )
    await assert.rejects(processReady(undefined, refused), { message: 'its process was not started' })
  })
})
