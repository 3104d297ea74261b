import assert from 'node:assert/strict'
import { withoutStack } from '#pkg/errors/without-stack.ts'

describe('an error without a stack', () => {
  it('has its message only, and the next one has a stack again', () => {
    assert.equal(withoutStack(() => new Error('gone')).stack, 'Error: gone')
    assert.match(new Error('here').stack ?? '', /without-stack\.test\.ts/)
  })

  it('leaves no trace of a maker that throws', () => {
    const limit = Error.stackTraceLimit
    assert.throws(() => withoutStack(() => assert.fail('no error made')))
    assert.equal(Error.stackTraceLimit, limit)
  })
})
