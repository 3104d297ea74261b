import { join } from 'node:path'
import type { Component, StartContext } from '#pkg/component/component.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { ensureDir } from '#pkg/file/directory.ts'
import { probeUnix } from '#pkg/net/probe.ts'
import type { ProcessSpec } from '#pkg/supervisor/process.ts'
import {
  installContainerdFiles,
  type ContainerdFiles,
  type ContainerdPrograms,
} from '#pkg/component/worker/containerd-files.ts'
import { watchDirectory } from '#pkg/component/worker/drop-in-watch.ts'
import { ProcessComponent } from '#pkg/component/process-component.ts'
import { processEnv, processPath } from '#pkg/component/worker/process-env.ts'
import type { WorkerContext } from '#pkg/component/worker/worker-context.ts'

/** How long containerd may take to end; its containers run on under their shims. */
const STOP_GRACE_MS = 10_000

/**
 * The container runtime. Ending or restarting it leaves pods alone: each has a shim in a process group of its own. It is
 * restarted when the user's drop-ins change and are good.
 */
export function containerd(context: WorkerContext): Component {
  const { vars } = context.options
  let programs: ContainerdPrograms
  let installed: ContainerdFiles
  return new ProcessComponent(
    {
      name: 'containerd',
      after: ['worker-config'],
      prepare: async (start) => {
        programs = await stagePrograms(context, start)
        installed = await installContainerdFiles(context, programs, start.signal)
        return processSpec(context, programs.containerd, installed.configFile)
      },
      // The socket opens after the plugins are loaded: an accepted connection means that containerd serves.
      probe: async (signal) => {
        await probeUnix(vars.containerdSocket, { signal })
      },
      beside: (process, { log }) => {
        const stopping = new AbortController()
        const onChange = async (): Promise<void> => {
          const next = await installContainerdFiles(context, programs, stopping.signal)
          if (next.fingerprint === installed.fingerprint || stopping.signal.aborted) return
          installed = next
          log.info('configuration changed, restarting', { dir: vars.containerdDropInDir })
          await process.restart()
        }
        const unwatch = watchDirectory(vars.containerdDropInDir, onChange, { log })
        return () => {
          stopping.abort(new Error('stopping'))
          unwatch()
        }
      },
    },
    context.deps,
  )
}

async function stagePrograms(
  { options, deps }: WorkerContext,
  { signal, log }: StartContext,
): Promise<ContainerdPrograms> {
  const { vars } = options
  const [containerd, runc] = await Promise.all([
    deps.binaries.stage('containerd', { signal }),
    deps.binaries.stage('runc', { signal }),
    deps.binaries.stage('containerd-shim-runc-v2', { signal }),
    ensureDir(vars.containerdRootDir, { mode: 0o711 }),
    ensureDir(vars.containerdStateDir, { mode: 0o711 }),
    // It has to exist to be watched.
    ensureDir(vars.containerdDropInDir, { mode: 0o755 }).catch((err: unknown) => {
      log.debug('no directory for drop-ins', { err: errorMessage(err) })
    }),
  ])
  return { containerd, runc }
}

function processSpec({ options }: WorkerContext, path: string, configFile: string): ProcessSpec {
  const { vars, logLevels } = options
  return {
    name: 'containerd',
    path,
    args: [`--config=${configFile}`, `--log-level=${logLevels['containerd'] ?? 'info'}`],
    env: { ...processEnv.containerd, PATH: processPath(vars.binDir) },
    pidFile: join(vars.runDir, 'containerd.pid'),
    stopGraceMs: STOP_GRACE_MS,
  }
}
