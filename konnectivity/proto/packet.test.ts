import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { dataPrefix, decodePacket, encodePacket, packetTypeLabel } from '#konnectivity/proto/packet.ts'
import type { Packet } from '#konnectivity/proto/packet.ts'
import { MalformedPacketError } from '#konnectivity/proto/protobuf.ts'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

describe('packet codec', function () {
  this.timeout(60_000) // also on a loaded machine
  // Bytes as upstream's generated Go code writes them.
  const wire: readonly (readonly [string, Packet])[] = [
    [
      '12 0f 0a03746370 1206 613a38303830 1807',
      { type: 'dialRequest', protocol: 'tcp', address: 'a:8080', random: 7n },
    ],
    ['08 01 1a 04 1003 1807', { type: 'dialResponse', error: '', connectId: 3, random: 7n }],
    ['08 02 2a 02 0803', { type: 'closeRequest', connectId: 3 }],
    ['08 03 32 02 1003', { type: 'closeResponse', error: '', connectId: 3 }],
    ['08 04 22 06 0803 1a 02 6869', { type: 'data', connectId: 3, data: Buffer.from('hi') }],
    ['08 05 3a 02 0807', { type: 'closeDial', random: 7n }],
    ['08 06 42 00', { type: 'drain' }],
  ]

  it("names types as upstream's metrics do", () => {
    assert.deepEqual(
      wire.map(([, packet]) => packetTypeLabel(packet)),
      ['DIAL_REQ', 'DIAL_RSP', 'CLOSE_REQ', 'CLOSE_RSP', 'DATA', 'DIAL_CLS', 'DRAIN'],
    )
    assert.equal(packetTypeLabel({ type: 'unknown', number: 9 }), '9')
  })

  for (const [bytes, packet] of wire) {
    it(`reads and writes ${packet.type}`, () => {
      const expected = bytes.replaceAll(' ', '')
      const encoded = packet.type === 'unknown' ? Buffer.alloc(0) : encodePacket(packet)
      assert.equal(encoded.toString('hex'), expected)
      assert.deepEqual(decodePacket(hex(bytes)), packet)
    })
  }

  it('keeps all 64 bits of a random number', () => {
    for (const random of [2n ** 63n - 1n, -1n, 2n ** 49n, 2n ** 49n - 1n]) {
      const packet = { type: 'closeDial', random } as const
      assert.deepEqual(decodePacket(encodePacket(packet)), packet)
    }
  })

  it('takes fields in any order and skips unknown ones', () => {
    assert.deepEqual(decodePacket(hex('7a 01 00 22 06 1a 02 6869 0803 55 01020304 08 04')), {
      type: 'data',
      connectId: 3,
      data: Buffer.from('hi'),
    })
  })

  it('passes payload bytes on as a view', () => {
    const message = hex('08 04 22 06 0803 1a 02 6869')
    const packet = decodePacket(message)
    assert.ok(packet.type === 'data' && packet.data.buffer === message.buffer)
  })

  it('reads a type of a newer protocol as unknown', () => {
    assert.deepEqual(decodePacket(hex('08 2a')), { type: 'unknown', number: 42 })
  })

  it('writes the same bytes with the payload apart', () => {
    for (const length of [0, 1, 127, 128, 65_536]) {
      const data = randomBytes(length)
      const whole = encodePacket({ type: 'data', connectId: 300, data })
      assert.ok(Buffer.concat([dataPrefix(300, length), data]).equals(whole))
    }
  })

  it('refuses what is not a packet, and never throws anything else', () => {
    for (const bytes of [
      '08',
      '0a 7f 00',
      '08 ffffffffffffffffffff 01',
      '22 02 08',
      '0b',
      '00 01',
      '22 0a 08 ffffffffffffffff7f',
    ]) {
      assert.throws(() => decodePacket(hex(`08 04 ${bytes}`)), MalformedPacketError, bytes)
    }
    for (let i = 0; i < 20_000; i += 1) {
      try {
        decodePacket(randomBytes(i % 40))
      } catch (error) {
        assert.ok(error instanceof MalformedPacketError, String(error))
      }
    }
  })
})
