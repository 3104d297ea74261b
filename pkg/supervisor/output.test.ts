import assert from 'node:assert/strict'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { Output } from '#pkg/supervisor/output.ts'
import { recordingLogger } from '#pkg/supervisor/testing/recording-logger.ts'

async function feed(output: Output, chunks: readonly (string | Buffer)[]): Promise<void> {
  const stream = new PassThrough()
  output.attach(stream, 'stderr')
  for (const chunk of chunks) stream.write(chunk)
  stream.end()
  await once(stream, 'end')
}

describe('Output', () => {
  const limits = { windowMs: 60_000, linesPerWindow: 20, repeatsPerWindow: 3, examinedPerWindow: 20_000 }

  it('logs one event a line, however the bytes arrive', async () => {
    const log = recordingLogger()
    await feed(new Output(log), ['on', 'e\ntw', Buffer.from('o\n\nüm'), 'laut'])
    assert.deepEqual(
      log.lines.map(({ message, fields }) => [message, fields['stream']]),
      [
        ['one', 'stderr'],
        ['two', 'stderr'],
        ['ümlaut', 'stderr'],
      ],
    )
  })

  it('sums up repetitions and what goes past the limit (k0s#4493)', async () => {
    const log = recordingLogger()
    const output = new Output(log, limits)
    const flood = Array.from({ length: 10_000 }, (_, i) => `stream ${i} closed\n`)
    const various = Array.from({ length: 100 }, (_, i) => `${'x'.repeat(i)}\n`)
    await feed(output, [...flood, ...various])
    output.flush()
    assert.equal(log.lines.filter(({ message }) => message.startsWith('stream')).length, 3)
    assert.equal(log.lines.length, limits.linesPerWindow + 1)
    assert.deepEqual(log.lines.at(-1), {
      level: 'warn',
      message: 'output left out of the log',
      fields: { lines: 10_000 - 3 + 99 - 17, example: 'stream 3 closed' }, // 99: the empty line is none
    })
  })

  it('counts without looking once it has looked at enough', async () => {
    const log = recordingLogger()
    const output = new Output(log, { ...limits, examinedPerWindow: 10 })
    await feed(
      output,
      Array.from({ length: 50 }, (_, i) => `${i % 2 === 0 ? 'even' : 'odd'} ${i}\n`),
    )
    await feed(output, ['something else\n'])
    output.flush()
    assert.equal(log.lines.length, 7)
    assert.deepEqual(log.lines.at(-1)!.fields, { lines: 45, example: 'even 6' })
  })

  it('cuts lines without end and keeps little of them', async () => {
    const log = recordingLogger()
    const output = new Output(log)
    await feed(output, [...Array.from({ length: 100 }, () => Buffer.alloc(65_536, 'a')), '\nlast\n'])
    assert.deepEqual(
      log.lines.map(({ message }) => message.length),
      [8_192, 4],
    )
    assert.equal(output.lastWords(), 'last')
  })

  it('remembers the words of this run only', async () => {
    const output = new Output(recordingLogger())
    await feed(output, ['Error: out of luck\nusage: …\n'])
    assert.equal(output.lastWords(), 'Error: out of luck')
    output.resetTail()
    assert.equal(output.lastWords(), undefined)
  })
})
