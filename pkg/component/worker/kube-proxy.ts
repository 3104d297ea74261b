import { access, constants } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { stringify } from 'yaml'
import type { Component } from '#pkg/component/component.ts'
import { modes } from '#pkg/constant/files.ts'
import { writeFileAtomic } from '#pkg/file/atomic.ts'
import { ensureDir } from '#pkg/file/directory.ts'
import { joinHostPort } from '#pkg/net/ip.ts'
import { probeHttp } from '#pkg/net/probe.ts'
import { mergeExtraArgs } from '#pkg/supervisor/args.ts'
import type { ProcessSpec } from '#pkg/supervisor/process.ts'
import { splitHostPort } from '#pkg/component/worker/host-port.ts'
import { kubeProxyConfiguration } from '#pkg/component/worker/kube-proxy-config.ts'
import { identityKubeconfig } from '#pkg/component/worker/layout.ts'
import { netfilterBackend } from '#pkg/component/worker/netfilter-backend.ts'
import { ProcessComponent } from '#pkg/component/process-component.ts'
import { processEnv, processPath } from '#pkg/component/worker/process-env.ts'
import type { WorkerContext } from '#pkg/component/worker/worker-context.ts'

/** Services on this node. */
export function kubeProxy(context: WorkerContext): Component {
  return new ProcessComponent(
    {
      name: 'kube-proxy',
      after: ['worker-certificates', 'worker-config', 'nllb', 'host-network', ...context.options.startAfter.api],
      wanted: () => !context.config.get().kubeProxy.disabled,
      prepare: async ({ signal }) => await prepare(context, signal),
      probe: async (signal) => {
        const { host, port } = splitHostPort(context.config.get().kubeProxy.healthzBindAddress)
        await probeHttp(`http://${joinHostPort(reachable(host), port)}/livez`, { signal })
      },
    },
    context.deps,
  )
}

async function prepare(context: WorkerContext, signal: AbortSignal): Promise<ProcessSpec> {
  const { options, layout, deps } = context
  const config = context.config.get()
  const path = await deps.binaries.stage('kube-proxy', { signal })
  const document = kubeProxyConfiguration(config, {
    nodeName: options.nodeName,
    kubeconfig: identityKubeconfig(options.vars, 'kubeProxy'),
    mode: netfilterBackend(context),
    conntrackMaxWritable: await isWritable('/proc/sys/net/netfilter/nf_conntrack_max'),
  })
  await ensureDir(dirname(layout.kubeProxyConfigFile), { mode: modes.runDir })
  await writeFileAtomic(layout.kubeProxyConfigFile, stringify(document), { mode: modes.certificate })
  const { extraArgs, rawArgs } = config.kubeProxy
  return {
    name: 'kube-proxy',
    path,
    args: mergeExtraArgs(
      { config: layout.kubeProxyConfigFile, v: options.logLevels['kube-proxy'] ?? '1' },
      extraArgs,
      rawArgs,
    ),
    env: { ...processEnv.kubeProxy, PATH: processPath(options.vars.binDir) },
    pidFile: join(options.vars.runDir, 'kube-proxy.pid'),
    stopGraceMs: 5_000,
  }
}

async function isWritable(path: string): Promise<boolean> {
  return await access(path, constants.W_OK).then(
    () => true,
    () => false,
  )
}

/** An address to connect to for an address to listen on. */
function reachable(host: string): string {
  return host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
}
