import { strict as assert } from 'node:assert'

import { tarHeader, tarPadding } from '#pkg/oci/tar.ts'

const entry = { path: 'bin/app', kind: 'file', mode: 0o755, uid: 65532, gid: 65532, sizeBytes: 5 } as const

describe('tarHeader', () => {
  it('writes name, numbers and type at their places, with a checksum over all of it', () => {
    const header = tarHeader(entry)
    assert.equal(header.length, 512)
    assert.equal(header.toString('latin1', 0, 8), 'bin/app\0')
    assert.equal(header.toString('latin1', 100, 108), '0000755\0')
    assert.equal(header.toString('latin1', 124, 136), '00000000005\0')
    assert.equal(header.toString('latin1', 136, 148), '00000000000\0', 'the time is the same on every machine')
    assert.equal(header.toString('latin1', 156, 157), '0')
    const expected = [...header.fill(' ', 148, 156)].reduce((sum, byte) => sum + byte, 0)
    assert.equal(parseInt(tarHeader(entry).toString('latin1', 148, 154), 8), expected)
  })

  it('splits a path of more than 100 bytes at a slash', () => {
    const path = `${'d'.repeat(90)}/${'e'.repeat(20)}/${'f'.repeat(80)}`
    const header = tarHeader({ ...entry, path })
    const text = (from: number, to: number): string => header.toString('latin1', from, to).replace(/\0.*$/, '')
    assert.equal(`${text(345, 500)}/${text(0, 100)}`, path)
  })

  it('refuses what the format cannot state', () => {
    assert.throws(() => tarHeader({ ...entry, path: 'x'.repeat(101) }), /too long for a tar archive/)
    assert.throws(() => tarHeader({ ...entry, sizeBytes: 8 ** 11 }), /too large for a tar archive/)
    assert.throws(() => tarHeader({ ...entry, kind: 'symlink', target: 't'.repeat(101) }), /too long for a tar header/)
  })
})

describe('tarPadding', () => {
  it('fills up to whole blocks', () => {
    assert.deepEqual(
      [0, 1, 511, 512, 513].map((size) => tarPadding(size).length),
      [0, 511, 1, 0, 511],
    )
  })
})
