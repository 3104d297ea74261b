import assert from 'node:assert/strict'
import { lineKey, lineLevel, mostTelling } from '#pkg/supervisor/line.ts'

describe('lineLevel', () => {
  const lines: Record<string, string> = {
    'I1121 14:13:32.123456    1234 server.go:1] error is not the level here': 'info',
    'W1121 14:13:32.123456    1234 server.go:1] x': 'warn',
    'E1121 14:13:32.123456    1234 server.go:1] x': 'error',
    'F1121 14:13:32.123456    1234 server.go:1] x': 'error',
    'time="2026-11-21T14:13:32Z" level=warning msg="x"': 'warn',
    'time="2026-11-21T14:13:32Z" level=debug msg="x"': 'debug',
    '{"level":"fatal","ts":"2026-11-21","msg":"x"}': 'error',
    'time=2026-11-21T14:13:32Z level=info msg=x': 'info',
    'Error: unknown flag: --x': 'error',
    'panic: runtime error': 'error',
    'anything else': 'info',
  }
  for (const [line, level] of Object.entries(lines)) {
    it(`reads ${level} from ${line.slice(0, 40)}`, () => assert.equal(lineLevel(line), level))
  }
})

describe('lineKey', () => {
  it('is the same for lines that differ in numbers and identifiers only', () => {
    const line = (time: string, id: string): string => `I1121 ${time} 77 x.go:9] stream ${id} closed`
    assert.equal(lineKey(line('14:13:32.1', 'deadbeef01')), lineKey(line('15:00:00.222', '0123456789')))
    assert.notEqual(lineKey('stream opened'), lineKey('stream closed'))
  })
})

describe('mostTelling', () => {
  it('prefers the last error over what follows it', () => {
    assert.equal(mostTelling(['I1121 14:13:32.1 1 a.go:1] x', 'Error: bad flag', 'see --help', '']), 'Error: bad flag')
    assert.equal(mostTelling(['one', 'two', '  ']), 'two')
    assert.equal(mostTelling(['', ' ']), undefined)
  })

  it('says in words what etcd says in JSON', () => {
    const line =
      '{"level":"fatal","ts":"2026","caller":"a.go:1","msg":"failed to commit","error":"no \\"space\\"","stacktrace":"a\\nb'
    assert.equal(mostTelling([line]), 'failed to commit: no "space"')
    assert.equal(mostTelling(['{"level":"fatal","ts":']), '{"level":"fatal","ts":')
  })
})
