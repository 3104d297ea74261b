import assert from 'node:assert/strict'
import { encodeKeyValue, encodeTombstone, keyValueSize, valueOf } from '#pkg/kine/wire/key-value.ts'
import { WireError, WireReader } from '#pkg/kine/wire/reader.ts'
import { canonicalInt64 } from '#pkg/kine/wire/int64.ts'
import { varintSize, WireWriter, writeVarint } from '#pkg/kine/wire/writer.ts'

const NUMBERS = [0, 1, 127, 128, 16_383, 16_384, 2 ** 28 - 1, 2 ** 28, 2 ** 31, 2 ** 32, 2 ** 35, 2 ** 42, 2 ** 53 - 1]

describe('protobuf codec', () => {
  it('writes and reads every size of integer, negative ones as ten bytes', () => {
    for (const value of [...NUMBERS, ...NUMBERS.map((n) => -n)]) {
      if (Object.is(value, -0)) continue
      const target = Buffer.alloc(12)
      const size = writeVarint(target, value, 0)
      assert.equal(size, varintSize(value), `size of ${value}`)
      if (value < 0) assert.equal(size, 10)
      const reader = new WireReader(Buffer.concat([Buffer.from([0x08]), target.subarray(0, size)]))
      assert.ok(reader.next())
      assert.equal(reader.int(), value)
      assert.equal(reader.next(), false)
    }
  })

  it('writes and reads lease ids of all 64 bits, each in its one form', () => {
    const powers = Array.from({ length: 11 }, (_, i) => 2n ** BigInt(53 + i))
    const large = powers.flatMap((n) => [n - 1n, n, n + 1n]).filter((n) => n < 2n ** 63n)
    for (const value of [...large, ...large.map((n) => -n), -(2n ** 63n)]) {
      const id = canonicalInt64(value)
      assert.equal(typeof id, value >= -(2n ** 53n) + 1n && value <= 2n ** 53n - 1n ? 'number' : 'bigint')
      const message = new WireWriter().int(1, id).finish()
      assert.equal(message.length, 1 + varintSize(id), `size of ${value}`)
      const reader = new WireReader(message)
      assert.ok(reader.next())
      assert.equal(reader.int64(), id)
      assert.equal(canonicalInt64(String(value)), id)
    }
  })

  it('refuses integers that a number cannot hold, and what is no message', () => {
    const bad: [string, string, RegExp][] = [
      ['2^53', '088080808080808010', /beyond 2\^53/],
      ['uint64 max/2', '08ffffffffffffffff7f', /beyond 2\^53/],
      ['eleven bytes', '08ffffffffffffffffffff01', /longer than ten bytes/],
      ['cut varint', '08ff', /unexpected end/],
      ['cut bytes', '0a05aa', /unexpected end/],
      ['field 0', '0000', /illegal field/],
      ['group', '0b', /wire type 3/],
    ]
    for (const [name, hex, message] of bad) {
      const reader = new WireReader(Buffer.from(hex, 'hex'))
      assert.throws(
        () => {
          while (reader.next()) {
            if (reader.field === 1 && name.includes('cut bytes')) reader.bytes()
            else if (name === 'group') reader.skip()
            else reader.exactInt()
          }
        },
        (error: unknown) => error instanceof WireError && message.test(error.message),
        name,
      )
    }
  })

  it('takes integers beyond 2^53 for the nearest that a number holds', () => {
    const cases = {
      '088080808080808010': Number.MAX_SAFE_INTEGER,
      '08ffffffffffffffff7f': Number.MAX_SAFE_INTEGER,
      '0880808080808080808001': Number.MIN_SAFE_INTEGER,
      '08ffffffffffffff0f': Number.MAX_SAFE_INTEGER,
      '08ffffffffffffffffff01': -1,
    }
    for (const [hex, expected] of Object.entries(cases)) {
      const reader = new WireReader(Buffer.from(hex, 'hex'))
      assert.ok(reader.next())
      assert.equal(reader.int(), expected, hex)
    }
  })

  it('skips fields that it does not know', () => {
    const message = new WireWriter(1).int(1, 5).bytes(2, Buffer.from('x')).int(90, 7).string(3, 'y').finish()
    const all = Buffer.concat([Buffer.from('0d01020304' + '190102030405060708', 'hex'), message])
    const reader = new WireReader(all)
    let seen = ''
    while (reader.next()) {
      if (reader.field === 3 && seen.endsWith('x')) seen += reader.bytes().toString()
      else if (reader.field === 2) seen += reader.bytes().toString()
      else reader.skip()
    }
    assert.equal(seen, 'xy')
  })

  it('reads repeated integers packed and unpacked', () => {
    for (const hex of ['2a020001', '28002801']) {
      const reader = new WireReader(Buffer.from(hex, 'hex'))
      const values: number[] = []
      while (reader.next()) reader.repeatedInts(values)
      assert.deepEqual(values, [0, 1])
    }
  })

  it('encodes key-values in the size that it foretells', () => {
    const base = {
      key: Buffer.from('k'),
      id: 1,
      modRevision: 300,
      createRevision: 2,
      version: 128,
      lease: 0,
      valueSize: 0,
    }
    for (const size of [0, 1, 127, 128, 20_000]) {
      for (const lease of [0, 2 ** 40]) {
        const version = { ...base, lease, valueSize: size }
        const value = Buffer.alloc(size, 'v')
        const encoded = encodeKeyValue(version, value)
        assert.equal(encoded.length, keyValueSize(version, size))
        assert.ok(valueOf(encoded).equals(value))
      }
    }
    assert.equal(encodeTombstone(base).toString('hex'), '0a016b18ac02')
  })
})
