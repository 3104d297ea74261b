import { assertNever } from '#pkg/errors/error.ts'
import {
  bytesField,
  FieldReader,
  MalformedPacketError,
  stringField,
  varint,
  varintField,
} from '#konnectivity/proto/protobuf.ts'
import type { Field } from '#konnectivity/proto/protobuf.ts'

/**
 * One message of ProxyService/Proxy and AgentService/Connect. Names and numbers are those of upstream's client.proto
 * (apiserver-network-proxy); `random` pairs a dial with its answer, `connectId` names an established connection.
 */
export type Packet =
  | { readonly type: 'dialRequest'; readonly protocol: string; readonly address: string; readonly random: bigint }
  | { readonly type: 'dialResponse'; readonly error: string; readonly connectId: number; readonly random: bigint }
  | { readonly type: 'closeRequest'; readonly connectId: number }
  | { readonly type: 'closeResponse'; readonly error: string; readonly connectId: number }
  /** `data` is a view into the received message: its bytes are passed on as they are. */
  | { readonly type: 'data'; readonly connectId: number; readonly data: Buffer }
  | { readonly type: 'closeDial'; readonly random: bigint }
  | { readonly type: 'drain' }
  /** A type of a newer protocol: ignored, as upstream does on both sides. */
  | { readonly type: 'unknown'; readonly number: number }

/** How upstream's metrics name a packet's type: as its protobuf enum does, unknown ones by their number. */
export function packetTypeLabel(packet: Packet): string {
  return packet.type === 'unknown' ? String(packet.number) : typeLabels[packetNumbers[packet.type]]
}

/** Upstream's name of a type. */
export function typeLabel(type: Exclude<Packet['type'], 'unknown'>): string {
  return typeLabels[packetNumbers[type]]
}

/** By number on the wire. */
const typeLabels = ['DIAL_REQ', 'DIAL_RSP', 'CLOSE_REQ', 'CLOSE_RSP', 'DATA', 'DIAL_CLS', 'DRAIN'] as const

/** Number of each type on the wire. */
export const packetNumbers = {
  dialRequest: 0,
  dialResponse: 1,
  closeRequest: 2,
  closeResponse: 3,
  data: 4,
  closeDial: 5,
  drain: 6,
} as const

/** Field of the oneof that carries each type's payload, by the type's number. */
const payloadFields = [2, 3, 5, 6, 4, 7, 8] as const

/** Decodes one message. @throws MalformedPacketError when it is not a packet or an id exceeds 2^53. */
export function decodePacket(message: Buffer): Packet {
  let number = 0
  const payloads = new Map<number, Buffer>()
  const reader = new FieldReader(message)
  for (let field = reader.next(); field !== undefined; field = reader.next()) {
    if (field.number === 1 && field.kind === 'varint') number = safeInteger(field.value)
    else if (field.kind === 'bytes') payloads.set(field.number, field.value)
  }
  return decodePayload(number, readFields(payloads.get(payloadFields[number] ?? 0)))
}

function decodePayload(number: number, fields: PayloadFields): Packet {
  switch (number) {
    case packetNumbers.dialRequest:
      return { type: 'dialRequest', protocol: fields.text(1), address: fields.text(2), random: fields.int64(3) }
    case packetNumbers.dialResponse:
      return { type: 'dialResponse', error: fields.text(1), connectId: fields.id(2), random: fields.int64(3) }
    case packetNumbers.closeRequest:
      return { type: 'closeRequest', connectId: fields.id(1) }
    case packetNumbers.closeResponse:
      return { type: 'closeResponse', error: fields.text(1), connectId: fields.id(2) }
    case packetNumbers.data:
      return { type: 'data', connectId: fields.id(1), data: fields.bytes(3) }
    case packetNumbers.closeDial:
      return { type: 'closeDial', random: fields.int64(1) }
    case packetNumbers.drain:
      return { type: 'drain' }
    default:
      return { type: 'unknown', number }
  }
}

interface PayloadFields {
  text(number: number): string
  bytes(number: number): Buffer
  int64(number: number): bigint
  id(number: number): number
}

/** Absent fields read as proto3's zero values; so does a field of another wire type. */
function readFields(payload: Buffer | undefined): PayloadFields {
  const fields: Field[] = []
  const reader = new FieldReader(payload ?? EMPTY)
  for (let field = reader.next(); field !== undefined; field = reader.next()) fields.push(field)
  const bytes = (number: number): Buffer => {
    const field = fields.findLast((f) => f.number === number)
    return field?.kind === 'bytes' ? field.value : EMPTY
  }
  const uint64 = (number: number): bigint => {
    const field = fields.findLast((f) => f.number === number)
    return field?.kind === 'varint' ? field.value : 0n
  }
  return {
    bytes,
    text: (number) => bytes(number).toString('utf8'),
    int64: (number) => BigInt.asIntN(64, uint64(number)),
    id: (number) => safeInteger(uint64(number)),
  }
}

const EMPTY = Buffer.alloc(0)

function safeInteger(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new MalformedPacketError(`id ${value} is out of range`)
  return Number(value)
}

/** Encodes one message; type 0 is left out on the wire, as proto3 does. */
export function encodePacket(packet: Exclude<Packet, { readonly type: 'unknown' }>): Buffer {
  const number = packetNumbers[packet.type]
  return Buffer.concat([varintField(1, number), bytesField(payloadFields[number], encodePayload(packet))])
}

function encodePayload(packet: Exclude<Packet, { readonly type: 'unknown' }>): Buffer {
  switch (packet.type) {
    case 'dialRequest':
      return Buffer.concat([
        stringField(1, packet.protocol),
        stringField(2, packet.address),
        varintField(3, packet.random),
      ])
    case 'dialResponse':
      return Buffer.concat([
        stringField(1, packet.error),
        varintField(2, packet.connectId),
        varintField(3, packet.random),
      ])
    case 'closeRequest':
      return varintField(1, packet.connectId)
    case 'closeResponse':
      return Buffer.concat([stringField(1, packet.error), varintField(2, packet.connectId)])
    case 'data':
      return Buffer.concat([varintField(1, packet.connectId), bytesField(3, packet.data)])
    case 'closeDial':
      return varintField(1, packet.random)
    case 'drain':
      return EMPTY
    default:
      return assertNever(packet)
  }
}

/** What precedes the payload bytes of a DATA message: written before them, so that they are never copied. */
export function dataPrefix(connectId: number, payloadBytes: number): Buffer {
  const inner = Buffer.from([...varintField(1, connectId), 3 * 8 + 2, ...varint(payloadBytes)])
  return Buffer.from([
    1 * 8,
    packetNumbers.data,
    payloadFields[packetNumbers.data] * 8 + 2,
    ...varint(inner.length + payloadBytes),
    ...inner,
  ])
}
