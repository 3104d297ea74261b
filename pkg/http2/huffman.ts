/** Length of each octet's code in bits (RFC 7541, appendix B). The code is canonical: lengths are all there is to know. */
const CODE_LENGTHS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26,
] as const
/** End of string: only its first bits may appear, as padding. */
const EOS = 256
const EOS_LENGTH = 30

const ROOT = 0
/** Inner nodes of the code's tree, two cells each: a node that follows on the bit, or `-1 - symbol`. */
const tree = buildTree()
/** For a node: whether the bits that led there may be the padding at the end, up to seven ones. */
const endsWell = paddingNodes()

function buildTree(): Int16Array {
  const symbols = [...CODE_LENGTHS, EOS_LENGTH]
    .map((length, symbol) => ({ length, symbol }))
    .sort((a, b) => a.length - b.length || a.symbol - b.symbol)
  const cells = new Int16Array(2 * EOS)
  let nodes = 1
  let code = 0
  let codeLength = 0
  for (const { length, symbol } of symbols) {
    code *= 2 ** (length - codeLength)
    codeLength = length
    let node = ROOT
    for (let bit = length - 1; bit > 0; bit -= 1) {
      const cell = 2 * node + ((code >>> bit) & 1)
      if (cells[cell] === 0) {
        cells[cell] = nodes
        nodes += 1
      }
      node = cells[cell] ?? 0
    }
    cells[2 * node + (code & 1)] = -1 - symbol
    code += 1
  }
  return cells
}

function paddingNodes(): ReadonlySet<number> {
  const nodes = new Set<number>()
  for (let node = ROOT, ones = 0; ones < 8; ones += 1) {
    nodes.add(node)
    node = tree[2 * node + 1] ?? 0
  }
  return nodes
}

let scratch = Buffer.allocUnsafeSlow(256)

/** The text of a Huffman-coded string as latin1; undefined if it is not well formed. */
export function decodeHuffman(bytes: Buffer, start: number, end: number): string | undefined {
  // The shortest code has five bits.
  const most = Math.ceil(((end - start) * 8) / 5)
  if (scratch.length < most) scratch = Buffer.allocUnsafeSlow(most)
  let length = 0
  let node = ROOT
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at] ?? 0
    for (let bit = 7; bit >= 0; bit -= 1) {
      node = tree[2 * node + ((byte >>> bit) & 1)] ?? 0
      if (node >= 0) continue
      const symbol = -1 - node
      if (symbol === EOS) return undefined
      scratch[length] = symbol
      length += 1
      node = ROOT
    }
  }
  return endsWell.has(node) ? scratch.toString('latin1', 0, length) : undefined
}
