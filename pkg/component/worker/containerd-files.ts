import { createHash } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { modes } from '#pkg/constant/files.ts'
import { errnoCode, errorMessage } from '#pkg/errors/error.ts'
import { readIfExists, writeFileAtomic } from '#pkg/file/atomic.ts'
import { ensureDir } from '#pkg/file/directory.ts'
import { RunOnceError } from '#pkg/supervisor/run-once.ts'
import { managedMagic, renderContainerdConfig } from '#pkg/component/worker/containerd-config.ts'
import { readDropIns, type DropIn } from '#pkg/component/worker/containerd-drop-ins.ts'
import { ContainerdConfigError } from '#pkg/component/worker/errors.ts'
import type { WorkerContext } from '#pkg/component/worker/worker-context.ts'

/** Executables that the configuration is made with. */
export interface ContainerdPrograms {
  readonly containerd: string
  readonly runc: string
}

/** What containerd is to be run with. */
export interface ContainerdFiles {
  readonly configFile: string
  /** Changes with everything that containerd would read. */
  readonly fingerprint: string
}

const VALIDATE_TIMEOUT_MS = 10_000

/**
 * Writes the configuration: ours with the user's drop-ins, or nothing when the user has a configuration of their own.
 * Drop-ins are copied once they are known to be good, so that a file broken later cannot keep containerd from coming back.
 *
 * @throws ContainerdConfigError naming the drop-in and what is wrong with it; what was installed before stays
 */
export async function installContainerdFiles(
  context: WorkerContext,
  programs: ContainerdPrograms,
  signal: AbortSignal,
): Promise<ContainerdFiles> {
  const { vars } = context.options
  const own = join(dirname(vars.containerdDropInDir), 'containerd.toml')
  const ownText = await readIfExists(own)
  if (ownText !== undefined && ownText.split('\n')[0]?.trim() !== managedMagic) {
    return { configFile: own, fingerprint: sha256([ownText]) }
  }
  const dropIns = await readDropIns(vars.containerdDropInDir)
  for (const { path, refused } of dropIns) {
    if (refused === undefined) continue
    throw new ContainerdConfigError(`cannot use ${path}: ${refused}; correct or remove the file`)
  }
  if (dropIns.length > 0) await validate(context, programs, dropIns, signal)
  const importDir = join(vars.runDir, 'containerd.d')
  const config = await write(context, programs, dropIns, { importDir, configFile: vars.containerdConfig })
  // Only now: the configuration that was installed before imports them.
  await removeOthers(importDir, new Set(dropIns.map(({ path }) => basename(path))))
  return { configFile: vars.containerdConfig, fingerprint: sha256([config, ...dropIns.map(({ text }) => text)]) }
}

/** containerd's own verdict on our configuration merged with the drop-ins. */
async function validate(
  context: WorkerContext,
  programs: ContainerdPrograms,
  dropIns: readonly DropIn[],
  signal: AbortSignal,
): Promise<void> {
  const { vars } = context.options
  const importDir = join(vars.runDir, 'containerd.d.new')
  const configFile = join(importDir, 'config')
  try {
    await ensureDir(importDir, { mode: 0o755 })
    await write(context, programs, dropIns, { importDir, configFile })
    const args = [`--config=${configFile}`, 'config', 'dump']
    await context.deps.runOnce({ path: programs.containerd, args, timeoutMs: VALIDATE_TIMEOUT_MS }, { signal })
  } catch (cause) {
    const said = cause instanceof RunOnceError ? cause.lastLine : errorMessage(cause)
    const reason = said.replaceAll(importDir, vars.containerdDropInDir)
    throw new ContainerdConfigError(
      `containerd refuses the files of ${vars.containerdDropInDir}: ${reason}; correct or remove them`,
      { cause },
    )
  } finally {
    await rm(importDir, { recursive: true, force: true })
  }
}

async function write(
  { options, deps, config }: WorkerContext,
  programs: ContainerdPrograms,
  dropIns: readonly DropIn[],
  to: { readonly importDir: string; readonly configFile: string },
): Promise<string> {
  const { vars } = options
  const imports = dropIns.map(({ path, text }) => ({ path: join(to.importDir, basename(path)), text }))
  if (imports.length > 0) await ensureDir(to.importDir, { mode: 0o755 })
  // For root only, as the user's files may be: credentials of registries can be in them.
  for (const { path, text } of imports) await writeFileAtomic(path, text, { mode: modes.secretFile })
  const text = renderContainerdConfig({
    rootDir: vars.containerdRootDir,
    stateDir: vars.containerdStateDir,
    socket: vars.containerdSocket,
    pauseImage: config.get().pauseImage,
    snapshotter: deps.host.snapshotter,
    cgroupDriver: deps.host.cgroupDriver,
    restrictOomScoreAdj: !deps.host.hasSysResource,
    runc: programs.runc,
    cniBinDir: vars.cniBinDir,
    cniConfDir: vars.cniConfDir,
    imports: imports.map(({ path }) => path),
  })
  await writeFileAtomic(to.configFile, text, { mode: 0o644 })
  return text
}

async function removeOthers(dir: string, names: ReadonlySet<string>): Promise<void> {
  const present = await readdir(dir).catch((err: unknown) => {
    if (errnoCode(err) === 'ENOENT') return []
    throw err
  })
  await Promise.all(present.filter((name) => !names.has(name)).map((name) => rm(join(dir, name), { force: true })))
}

function sha256(texts: readonly string[]): string {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(text).update('\0')
  return hash.digest('hex')
}
