import assert from 'node:assert/strict'
import { encodeFields, HpackDecoder } from '#pkg/http2/hpack.ts'
import { Http2Error } from '#pkg/http2/protocol.ts'

/** All fields of a block as `name: value` lines. */
function decode(decoder: HpackDecoder, hex: string): string[] {
  const fields: string[] = []
  decoder.decode(Buffer.from(hex.replaceAll(' ', ''), 'hex'), (name, value) => fields.push(`${name}: ${value}`))
  return fields
}

describe('HpackDecoder', function () {
  this.timeout(60_000) // also on a loaded machine
  const first = [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com']

  it('decodes requests of one connection without Huffman codes (RFC 7541, C.3)', () => {
    const decoder = new HpackDecoder()
    assert.deepEqual(decode(decoder, '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d'), first)
    assert.deepEqual(decode(decoder, '8286 84be 5808 6e6f 2d63 6163 6865'), [...first, 'cache-control: no-cache'])
    assert.deepEqual(decode(decoder, '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65'), [
      ':method: GET',
      ':scheme: https',
      ':path: /index.html',
      ':authority: www.example.com',
      'custom-key: custom-value',
    ])
  })

  it('decodes requests with Huffman codes (RFC 7541, C.4)', () => {
    const decoder = new HpackDecoder()
    assert.deepEqual(decode(decoder, '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff'), first)
    assert.deepEqual(decode(decoder, '8286 84be 5886 a8eb 1064 9cbf'), [...first, 'cache-control: no-cache'])
  })

  it('decodes literals without indexing, and long integers', () => {
    const decoder = new HpackDecoder()
    const value = 'v'.repeat(1337)
    assert.deepEqual(decode(decoder, encodeFields([['x-long', value]], true).toString('hex')), [
      ':status: 200',
      `x-long: ${value}`,
    ])
    assert.throws(() => decode(decoder, 'be'), Http2Error, 'nothing was indexed')
  })

  it('evicts the oldest entries, as the size of the table asks', () => {
    const decoder = new HpackDecoder()
    decode(decoder, '40 01 61 01 31') // a: 1
    decode(decoder, '40 01 62 01 32') // b: 2
    assert.deepEqual(decode(decoder, 'be bf'), ['b: 2', 'a: 1'])
    // A table of 34 bytes has room for one of them.
    assert.deepEqual(decode(decoder, '3f 03 be'), ['b: 2'])
    assert.throws(() => decode(decoder, 'bf'), Http2Error)
  })

  it('refuses what would set the tables of both sides apart', () => {
    for (const [hex, what] of [
      ['80', 'index 0'],
      ['ff ff ff ff ff 7f', 'an index beyond everything'],
      ['40 01', 'a text cut off'],
      ['00 81 00 01 61', 'padding that is not the end of the end-of-string code'],
      ['00 84 ff ff ff ff 01 61', 'the end-of-string code itself'],
      ['3f ff ff 01', 'a table larger than was offered'],
    ] as const) {
      assert.throws(() => decode(new HpackDecoder(), hex), Http2Error, what)
    }
  })

  it('decodes every octet that a peer may encode', () => {
    // From the table of RFC 7541, appendix B: the codes of NUL, LF and 0xff, padded with ones.
    assert.deepEqual(decode(new HpackDecoder(), '00 01 61 82 ffc7'), ['a: \0'])
    assert.deepEqual(decode(new HpackDecoder(), '00 01 61 84 fffffff3'), ['a: \n'])
    assert.deepEqual(decode(new HpackDecoder(), '00 01 61 84 fffffbbf'), ['a: \xff'])
  })
})
