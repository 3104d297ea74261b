import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Component } from '#pkg/component/component.ts'
import { errnoCode, errorMessage } from '#pkg/errors/error.ts'
import { ensureDir } from '#pkg/file/directory.ts'
import { writeFileAtomic } from '#pkg/file/atomic.ts'
import { probeUnix } from '#pkg/net/probe.ts'
import type { ProcessSpec } from '#pkg/supervisor/process.ts'
import { managedMagic, renderContainerdConfig } from '#pkg/component/worker/containerd-config.ts'
import { readDropIns } from '#pkg/component/worker/containerd-drop-ins.ts'
import { ContainerdConfigError } from '#pkg/component/worker/errors.ts'
import { ProcessComponent } from '#pkg/component/worker/process-component.ts'
import { processEnv, processPath } from '#pkg/component/worker/process-env.ts'
import type { WorkerContext } from '#pkg/component/worker/worker-context.ts'

/** How long containerd may take to end; its containers run on under their shims. */
const STOP_GRACE_MS = 10_000

/** The container runtime. Ending or restarting it leaves pods alone: each has a shim in a process group of its own. */
export function containerd(context: WorkerContext): Component {
  const { vars } = context.options
  return new ProcessComponent(
    {
      name: 'containerd',
      after: ['worker-config'],
      prepare: async ({ signal }) => await prepare(context, signal),
      // The socket opens after the plugins are loaded: an accepted connection means that containerd serves.
      probe: async (signal) => {
        await probeUnix(vars.containerdSocket, { signal })
      },
    },
    context.deps,
  )
}

async function prepare(context: WorkerContext, signal: AbortSignal): Promise<ProcessSpec> {
  const { vars, logLevels } = context.options
  const { binaries } = context.deps
  const [path, runc] = await Promise.all([
    binaries.stage('containerd', { signal }),
    binaries.stage('runc', { signal }),
    binaries.stage('containerd-shim-runc-v2', { signal }),
    ensureDir(vars.containerdRootDir, { mode: 0o711 }),
    ensureDir(vars.containerdStateDir, { mode: 0o711 }),
  ])
  const config = await writeConfig(context, { containerd: path, runc }, signal)
  return {
    name: 'containerd',
    path,
    args: [`--config=${config}`, `--log-level=${logLevels['containerd'] ?? 'info'}`],
    env: { ...processEnv.containerd, PATH: processPath(vars.binDir) },
    pidFile: join(vars.runDir, 'containerd.pid'),
    stopGraceMs: STOP_GRACE_MS,
  }
}

/** Path of the configuration to run with: the user's own if there is one, else ours with the user's drop-ins. */
async function writeConfig(
  context: WorkerContext,
  programs: { readonly containerd: string; readonly runc: string },
  signal: AbortSignal,
): Promise<string> {
  const { vars } = context.options
  const own = join(dirname(vars.containerdDropInDir), 'containerd.toml')
  const ownText = await readText(own)
  if (ownText !== undefined && ownText.split('\n')[0]?.trim() !== managedMagic) return own
  const dropIns = await readDropIns(vars.containerdDropInDir)
  for (const { path, refused } of dropIns) {
    if (refused !== undefined)
      throw new ContainerdConfigError(`cannot use ${path}: ${refused}; correct or remove the file`)
  }
  const { host } = context.deps
  const text = renderContainerdConfig({
    rootDir: vars.containerdRootDir,
    stateDir: vars.containerdStateDir,
    socket: vars.containerdSocket,
    pauseImage: context.config.get().pauseImage,
    snapshotter: host.snapshotter,
    cgroupDriver: host.cgroupDriver,
    restrictOomScoreAdj: !host.hasSysResource,
    runc: programs.runc,
    cniBinDir: vars.cniBinDir,
    cniConfDir: vars.cniConfDir,
    imports: dropIns.map(({ path }) => path),
  })
  await writeFileAtomic(vars.containerdConfig, text, { mode: 0o644 })
  if (dropIns.length > 0) await assertParses(context, programs.containerd, signal)
  return vars.containerdConfig
}

/** containerd's own verdict on our configuration merged with the drop-ins. */
async function assertParses(context: WorkerContext, path: string, signal: AbortSignal): Promise<void> {
  const { vars } = context.options
  try {
    await context.deps.runOnce(
      { path, args: [`--config=${vars.containerdConfig}`, 'config', 'dump'], timeoutMs: 10_000 },
      { signal },
    )
  } catch (cause) {
    throw new ContainerdConfigError(
      `containerd refuses the files of ${vars.containerdDropInDir}: ${errorMessage(cause)}; correct or remove them`,
      { cause },
    )
  }
}

async function readText(path: string): Promise<string | undefined> {
  return await readFile(path, 'utf8').catch((err: unknown) => {
    if (errnoCode(err) === 'ENOENT') return undefined
    throw err
  })
}
