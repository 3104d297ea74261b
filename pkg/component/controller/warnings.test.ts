import assert from 'node:assert/strict'
import { Warnings } from '#pkg/component/controller/warnings.ts'
import { recordingLogger } from '#pkg/supervisor/testing/recording-logger.ts'

describe('Warnings', () => {
  it('are logged when they begin and when they are over, and stand between', () => {
    const log = recordingLogger()
    const warnings = new Warnings()
    warnings.set('disk', 'slow: 200 ms', log)
    warnings.set('disk', 'slow: 300 ms', log)
    assert.deepEqual(warnings.list(), ['slow: 300 ms'])
    warnings.set('disk', undefined, log)
    warnings.set('disk', undefined, log)
    assert.deepEqual(warnings.list(), [])
    const lines = log.lines.map(({ level, message }) => `${level}: ${message}`)
    assert.deepEqual(lines, ['warn: slow: 200 ms', 'info: over: slow: 300 ms'])
  })
})
