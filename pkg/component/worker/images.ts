import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Component } from '#pkg/component/component.ts'
import { errnoCode, errorMessage } from '#pkg/errors/error.ts'
import { readIfExists, writeFileAtomic } from '#pkg/file/atomic.ts'
import { RunOnceError } from '#pkg/supervisor/run-once.ts'
import { ImageImportError } from '#pkg/component/worker/errors.ts'
import type { WorkerContext } from '#pkg/component/worker/worker-context.ts'

/** containerd never removes an image with this label, and the kubelet does not count it for garbage collection. */
const PINNED_LABEL = 'io.cri-containerd.pinned=pinned'
/** Namespace of everything that the kubelet sees. */
const NAMESPACE = 'k8s.io'
const IMPORT_TIMEOUT_MS = 10 * 60_000
/** Beside a starting API server on two cores, unpacking would take half of what that needs. */
const NICENESS = 15

/** An archive as it was when it was imported: unchanged ones are not read again. */
interface Imported {
  readonly path: string
  readonly sizeBytes: number
  readonly modifiedMs: number
}

/**
 * Imports the images shipped with the product and the user's archives into containerd and pins them. Done before the
 * kubelet starts, so that no pod asks for one that is not there yet; it overlaps with the rest of the start.
 */
export function imageImport(context: WorkerContext): Component {
  return {
    name: 'image-import',
    after: ['containerd'],
    start: async ({ signal, log }) => {
      const { layout } = context
      const archives = await listArchives(context)
      const before = await readImported(layout.importedImagesFile)
      const fresh = archives.filter((archive) => !before.some((old) => same(old, archive)))
      const startedAt = performance.now()
      await Promise.all(fresh.map(async (archive) => await importArchive(context, archive, signal)))
      await writeFileAtomic(layout.importedImagesFile, `${JSON.stringify(archives, undefined, 2)}\n`, { mode: 0o644 })
      log.info('images imported', {
        imported: fresh.length,
        present: archives.length - fresh.length,
        durationMs: Math.round(performance.now() - startedAt),
      })
    },
    ready: async () => await Promise.resolve(),
    stop: async () => await Promise.resolve(),
  }
}

async function listArchives({ deps, options }: WorkerContext): Promise<readonly Imported[]> {
  const shipped = (await deps.imageArchives()).map(({ path }) => path)
  const names = await readdir(options.vars.imagesDir).catch((err: unknown) => {
    if (errnoCode(err) === 'ENOENT') return []
    throw err
  })
  const users = names
    .filter((name) => name.endsWith('.tar'))
    .sort()
    .map((name) => join(options.vars.imagesDir, name))
  return await Promise.all(
    [...shipped, ...users].map(async (path) => {
      const { size, mtimeMs } = await stat(path)
      return { path, sizeBytes: size, modifiedMs: mtimeMs }
    }),
  )
}

async function importArchive({ deps, options }: WorkerContext, { path }: Imported, signal: AbortSignal): Promise<void> {
  const ctr = await deps.binaries.stage('ctr', { signal })
  const args = [`--address=${options.vars.containerdSocket}`, `--namespace=${NAMESPACE}`, 'images', 'import']
  // Without --local the archive streams through containerd's transfer service, which takes three times the CPU time.
  args.push('--local', `--snapshotter=${deps.host.snapshotter}`, `--label=${PINNED_LABEL}`, path)
  try {
    await deps.runOnce({ path: ctr, args, timeoutMs: IMPORT_TIMEOUT_MS, niceness: NICENESS }, { signal })
  } catch (cause) {
    throw new ImageImportError(
      `cannot import the image archive ${basename(path)} from ${path}: ${cause instanceof RunOnceError ? cause.lastLine : errorMessage(cause)}; replace or remove the file`,
      { cause },
    )
  }
}

function same(a: Imported, b: Imported): boolean {
  return a.path === b.path && a.sizeBytes === b.sizeBytes && a.modifiedMs === b.modifiedMs
}

async function readImported(file: string): Promise<readonly Imported[]> {
  try {
    return JSON.parse((await readIfExists(file)) ?? '[]') as Imported[]
  } catch {
    return [] // torn: importing again is harmless
  }
}
