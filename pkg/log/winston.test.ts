import assert from 'node:assert/strict'
import { formatLine } from '#pkg/log/winston.ts'

describe('formatLine', () => {
  const line = { timestamp: '2026-01-02T03:04:05.000Z', level: 'info', message: 'process exited' }

  it('quotes only what needs it', () => {
    const fields = { component: 'etcd', exit: 'code 1', pid: 7 }
    assert.equal(
      formatLine({ ...line, fields }),
      'time=2026-01-02T03:04:05.000Z level=info msg="process exited" component=etcd exit="code 1" pid=7',
    )
  })

  it('keeps an error and its causes on one line', () => {
    const err = new Error('cannot start', { cause: new Error('no such\nfile') })
    assert.match(formatLine({ ...line, fields: { err } }), /err="cannot start: no such\\nfile"$/)
  })

  it('leaves out undefined fields', () => {
    assert.doesNotMatch(formatLine({ ...line, fields: { node: undefined } }), /node/)
  })
})
