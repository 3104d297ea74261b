import assert from 'node:assert/strict'
import { flagValue, mergeExtraArgs, toArgs } from '#pkg/supervisor/args.ts'

describe('toArgs', () => {
  it('sorts by name and repeats a flag of several values', () => {
    const args = toArgs({ v: '2', 'bind-address': '127.0.0.1', 'api-audiences': ['a', 'b'], none: [] })
    assert.deepEqual(args, ['--api-audiences=a', '--api-audiences=b', '--bind-address=127.0.0.1', '--v=2'])
  })
})

describe('mergeExtraArgs', () => {
  it('lets extra arguments replace ours, with or without dashes, and puts raw ones last', () => {
    const base = { profiling: 'false', 'feature-gates': ['A=true', 'B=true'], v: '1' }
    const args = mergeExtraArgs(base, { '--v': '4', 'feature-gates': 'C=true', new: '' }, ['--v=5', '-x'])
    assert.deepEqual(args, ['--feature-gates=C=true', '--new=', '--profiling=false', '--v=4', '--v=5', '-x'])
  })

  it('adds nothing by default', () => {
    assert.deepEqual(mergeExtraArgs({ v: '1' }), ['--v=1'])
  })
})

describe('flagValue', () => {
  it('is the last one, in either form', () => {
    assert.equal(flagValue(['--node-ip', '10.0.0.1', '--node-ip=10.0.0.2'], 'node-ip'), '10.0.0.2')
    assert.equal(flagValue(['--node-ip=10.0.0.2', '--node-ip', '10.0.0.1'], 'node-ip'), '10.0.0.1')
    assert.equal(flagValue(['--node-ips=x'], 'node-ip'), undefined)
  })
})
