import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, rename, rm, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'

import { tarEnd, tarHeader, tarPadding } from '#pkg/oci/tar.ts'
import type { TarEntry } from '#pkg/oci/tar.ts'

/** One file of an image. Parent directories that are not listed are made with mode 0755, owned by root. */
export type ImageFile = {
  /** Absolute path in the image. */
  readonly path: string
  /** Permission bits; default 0755 (0777 for a symbolic link, where they mean nothing). */
  readonly mode?: number
  /** Numeric owner and group; default 0. */
  readonly uid?: number
  readonly gid?: number
} & (
  | { readonly kind: 'file'; /** Bytes, or the path of a file to copy. */ readonly source: Buffer | string }
  | { readonly kind: 'directory' }
  | { readonly kind: 'symlink'; readonly target: string }
)

/** An image of one layer. */
export interface ImageOptions {
  /** Full reference, for instance `k0s.local/pause:v1.0.0`: the name after an import. */
  readonly ref: string
  /** In Go's terms, for instance `amd64`. */
  readonly architecture: string
  readonly files: readonly ImageFile[]
  readonly entrypoint: readonly string[]
  readonly cmd?: readonly string[]
  /** `uid:gid`, numbers only, so that `runAsNonRoot` can be verified. */
  readonly user: string
  readonly env?: readonly string[]
  readonly workingDir?: string
}

/** What was written. */
export interface ImageArchive {
  /** `sha256:` digest of the image manifest: equal digests mean equal images. */
  readonly digest: string
  readonly sizeBytes: number
}

interface Content {
  readonly sizeBytes: number
  /** Bytes, or the path of the file that holds them. */
  readonly source: Buffer | string
}
interface LayerEntry {
  readonly header: TarEntry
  readonly content: Content
}
interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}
interface Blob {
  readonly descriptor: Descriptor
  readonly bytes: Buffer
}
type Sink = (chunk: Buffer) => Promise<void>

/** Owner and time of everything that the image does not state: the same on every machine. */
const CREATED = '1970-01-01T00:00:00Z'
const EMPTY: Content = { sizeBytes: 0, source: Buffer.alloc(0) }

/**
 * Writes an OCI image layout as one tar file, which `ctr images import` takes. The same options give the same bytes.
 * The layer is not compressed: an archive is imported locally, and whoever ships it compresses it as a whole.
 * The file appears under its name only when it is complete.
 */
export async function writeImageArchive(options: ImageOptions, outputPath: string): Promise<ImageArchive> {
  const layer = await layerEntries(options.files)
  const layerDescriptor = await describe(layer)
  const config = jsonBlob('application/vnd.oci.image.config.v1+json', imageConfig(options, layerDescriptor.digest))
  const manifest = jsonBlob('application/vnd.oci.image.manifest.v1+json', {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: config.descriptor,
    layers: [layerDescriptor],
  })
  const temporaryPath = `${outputPath}.${process.pid}.tmp`
  const output = await open(temporaryPath, 'w', 0o644)
  try {
    const index = imageIndex(options, manifest.descriptor)
    await writeLayout(output, { blobs: [config, manifest], layer, layerDescriptor, index })
    await output.sync()
    const { size } = await output.stat()
    await output.close()
    await rename(temporaryPath, outputPath)
    return { digest: manifest.descriptor.digest, sizeBytes: size }
  } catch (error) {
    await output.close()
    await rm(temporaryPath, { force: true })
    throw error
  }
}

function imageConfig(options: ImageOptions, layerDigest: string): object {
  return {
    created: CREATED,
    architecture: options.architecture,
    os: 'linux',
    config: {
      User: options.user,
      Env: options.env ?? ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      Entrypoint: options.entrypoint,
      ...(options.cmd && { Cmd: options.cmd }),
      WorkingDir: options.workingDir ?? '/',
    },
    rootfs: { type: 'layers', diff_ids: [layerDigest] },
    history: [{ created: CREATED }],
  }
}

function imageIndex(options: ImageOptions, manifest: Descriptor): Buffer {
  const annotations = {
    // containerd names the image after the first, other tools after the second.
    'io.containerd.image.name': options.ref,
    'org.opencontainers.image.ref.name': options.ref,
  }
  const platform = { architecture: options.architecture, os: 'linux' }
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [{ ...manifest, platform, annotations }],
    }),
  )
}

interface Layout {
  readonly blobs: readonly Blob[]
  readonly layer: readonly LayerEntry[]
  readonly layerDescriptor: Descriptor
  readonly index: Buffer
}

async function writeLayout(output: FileHandle, { blobs, layer, layerDescriptor, index }: Layout): Promise<void> {
  const sink: Sink = (chunk) => writeAll(output, chunk)
  const owner = { uid: 0, gid: 0 }
  const directory = (path: string): Promise<void> =>
    sink(tarHeader({ path, kind: 'directory', mode: 0o755, ...owner, sizeBytes: 0 }))
  const fileHeader = (path: string, sizeBytes: number): TarEntry => ({
    path,
    kind: 'file',
    mode: 0o644,
    ...owner,
    sizeBytes,
  })
  const file = (path: string, bytes: Buffer): Promise<void> => {
    const content = { sizeBytes: bytes.length, source: bytes }
    return writeEntry({ header: fileHeader(path, bytes.length), content }, sink)
  }
  await directory('blobs')
  await directory('blobs/sha256')
  for (const { descriptor, bytes } of blobs) await file(blobPath(descriptor), bytes)
  await sink(tarHeader(fileHeader(blobPath(layerDescriptor), layerDescriptor.size)))
  await writeLayer(layer, sink)
  await sink(tarPadding(layerDescriptor.size))
  await file('index.json', index)
  await file('oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}'))
  await sink(tarEnd)
}

/** Every entry of the layer in path order, missing parents included. */
async function layerEntries(files: readonly ImageFile[]): Promise<readonly LayerEntry[]> {
  const entries = new Map<string, LayerEntry>()
  for (const file of files) {
    const path = file.path.replace(/^\/+/, '')
    if (path === '' || entries.has(path)) throw new RangeError(`image file ${file.path}: empty or listed twice`)
    entries.set(path, await layerEntry(path, file))
  }
  for (const path of [...entries.keys()]) {
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
      const parent = path.slice(0, end)
      if (!entries.has(parent)) entries.set(parent, await layerEntry(parent, { kind: 'directory', path: parent }))
    }
  }
  return [...entries].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry)
}

async function layerEntry(path: string, file: ImageFile): Promise<LayerEntry> {
  const owner = { uid: file.uid ?? 0, gid: file.gid ?? 0 }
  switch (file.kind) {
    case 'directory':
      return { header: { path, kind: 'directory', mode: file.mode ?? 0o755, ...owner, sizeBytes: 0 }, content: EMPTY }
    case 'symlink': {
      const { target } = file
      return {
        header: { path, kind: 'symlink', mode: file.mode ?? 0o777, ...owner, sizeBytes: 0, target },
        content: EMPTY,
      }
    }
    case 'file': {
      const { source } = file
      const sizeBytes = Buffer.isBuffer(source) ? source.length : (await stat(source)).size
      const header: TarEntry = { path, kind: 'file', mode: file.mode ?? 0o755, ...owner, sizeBytes }
      return { header, content: { sizeBytes, source } }
    }
  }
}

/** The digest of the layer names its blob, so it is taken in a pass of its own before anything is written. */
async function describe(layer: readonly LayerEntry[]): Promise<Descriptor> {
  const hash = createHash('sha256')
  let size = 0
  await writeLayer(layer, (chunk) => {
    hash.update(chunk)
    size += chunk.length
    return Promise.resolve()
  })
  return { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: `sha256:${hash.digest('hex')}`, size }
}

async function writeLayer(layer: readonly LayerEntry[], sink: Sink): Promise<void> {
  for (const entry of layer) await writeEntry(entry, sink)
  await sink(tarEnd)
}

async function writeEntry({ header, content }: LayerEntry, sink: Sink): Promise<void> {
  await sink(tarHeader(header))
  let written = 0
  for await (const chunk of chunks(content)) {
    written += chunk.length
    await sink(chunk)
  }
  if (written !== content.sizeBytes) throw new Error(`${header.path}: the source changed while it was read`)
  await sink(tarPadding(content.sizeBytes))
}

async function* chunks({ source }: Content): AsyncIterable<Buffer> {
  if (Buffer.isBuffer(source)) yield source
  else for await (const chunk of createReadStream(source, { highWaterMark: 1 << 20 })) yield chunk as Buffer
}

async function writeAll(output: FileHandle, chunk: Buffer): Promise<void> {
  for (let offset = 0; offset < chunk.length;) {
    const { bytesWritten } = await output.write(chunk, offset)
    offset += bytesWritten
  }
}

function jsonBlob(mediaType: string, value: object): Blob {
  const bytes = Buffer.from(JSON.stringify(value))
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  return { descriptor: { mediaType, digest, size: bytes.length }, bytes }
}

function blobPath({ digest }: Descriptor): string {
  return `blobs/${digest.replace(':', '/')}`
}
