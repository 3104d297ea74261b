/** Length of a message's type and of its length field. */
const HEADER_BYTES = 5

/**
 * Cuts the stream of the server into messages. A message that arrives in many pieces is put together once, when it is
 * complete: a value of a megabyte comes in dozens of them.
 */
export class MessageReader {
  readonly #onMessage: (type: string, body: Buffer) => void
  #pieces: Buffer[] = []
  #held = 0
  #needed = HEADER_BYTES

  /** `onMessage` gets a view that is valid as long as it is referred to. */
  constructor(onMessage: (type: string, body: Buffer) => void) {
    this.#onMessage = onMessage
  }

  push(chunk: Buffer): void {
    this.#pieces.push(chunk)
    this.#held += chunk.length
    if (this.#held < this.#needed) return
    const bytes = this.#pieces.length === 1 ? chunk : Buffer.concat(this.#pieces, this.#held)
    let at = 0
    this.#needed = HEADER_BYTES
    while (bytes.length - at >= HEADER_BYTES) {
      // The length counts itself but not the type.
      const length = bytes.readInt32BE(at + 1) + 1
      if (bytes.length - at < length) {
        this.#needed = length
        break
      }
      this.#onMessage(String.fromCharCode(bytes[at] ?? 0), bytes.subarray(at + HEADER_BYTES, at + length))
      at += length
    }
    const rest = bytes.subarray(at)
    this.#pieces = rest.length === 0 ? [] : [rest]
    this.#held = rest.length
  }
}
