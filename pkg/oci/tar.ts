/** Metadata of one tar entry. Nothing of the machine gets in: times are zero and owners are numbers. */
export interface TarEntry {
  /** Relative path with forward slashes; a directory's without a trailing one. */
  readonly path: string
  readonly kind: 'file' | 'directory' | 'symlink'
  /** Permission bits. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Bytes of content that follow the header; 0 unless `kind` is `file`. */
  readonly sizeBytes: number
  /** What a symbolic link points to. */
  readonly target?: string
}

const BLOCK_BYTES = 512
/** Largest size that eleven octal digits can state (POSIX ustar). */
const MAX_SIZE_BYTES = 8 ** 11 - 1
const TYPE_FLAG = { file: '0', symlink: '2', directory: '5' } as const

/** Two zero blocks end an archive (POSIX ustar). */
export const tarEnd = Buffer.alloc(2 * BLOCK_BYTES)

/**
 * The 512-byte POSIX ustar header of an entry.
 * @throws RangeError if a name or the size does not fit the format.
 */
export function tarHeader(entry: TarEntry): Buffer {
  const { prefix, name } = splitPath(entry.kind === 'directory' ? `${entry.path}/` : entry.path)
  const header = Buffer.alloc(BLOCK_BYTES)
  writeText(header, name, 0, 100)
  writeOctal(header, entry.mode, 100, 8)
  writeOctal(header, entry.uid, 108, 8)
  writeOctal(header, entry.gid, 116, 8)
  if (entry.sizeBytes > MAX_SIZE_BYTES) throw new RangeError(`${entry.path}: too large for a tar archive`)
  writeOctal(header, entry.sizeBytes, 124, 12)
  writeOctal(header, 0, 136, 12)
  header.write(TYPE_FLAG[entry.kind], 156)
  writeText(header, entry.target ?? '', 157, 100)
  header.write('ustar\x0000', 257, 'latin1')
  writeText(header, prefix, 345, 155)
  writeChecksum(header)
  return header
}

/** Zero bytes that fill the content up to a whole block. */
export function tarPadding(sizeBytes: number): Buffer {
  return Buffer.alloc((BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES)
}

/** ustar keeps a path of more than 100 bytes in two fields that are joined by a slash. */
function splitPath(path: string): { readonly prefix: string; readonly name: string } {
  if (Buffer.byteLength(path) <= 100) return { prefix: '', name: path }
  for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1)) {
    const prefix = path.slice(0, slash)
    const name = path.slice(slash + 1)
    if (Buffer.byteLength(prefix) <= 155 && name !== '' && Buffer.byteLength(name) <= 100) return { prefix, name }
  }
  throw new RangeError(`${path}: the path is too long for a tar archive`)
}

function writeText(header: Buffer, text: string, offset: number, length: number): void {
  if (Buffer.byteLength(text) > length) throw new RangeError(`${text}: too long for a tar header`)
  header.write(text, offset)
}

function writeOctal(header: Buffer, value: number, offset: number, length: number): void {
  const digits = value.toString(8).padStart(length - 1, '0')
  if (digits.length >= length) throw new RangeError(`${value}: too large for a tar header`)
  header.write(digits, offset)
}

/** The checksum is the sum of all header bytes, its own field counted as spaces. */
function writeChecksum(header: Buffer): void {
  header.fill(' ', 148, 156)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
}
