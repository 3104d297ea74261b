import { dirname, join } from 'node:path'
import { stringify } from 'yaml'
import type { Component } from '#pkg/component/component.ts'
import { modes } from '#pkg/constant/files.ts'
import { ports } from '#pkg/constant/ports.ts'
import { writeFileAtomic } from '#pkg/file/atomic.ts'
import { ensureDir } from '#pkg/file/directory.ts'
import { KubeClient } from '#pkg/kubernetes/client.ts'
import { loadKubeconfig } from '#pkg/kubernetes/kubeconfig.ts'
import { resources } from '#pkg/kubernetes/resources.ts'
import { probeHttp } from '#pkg/net/probe.ts'
import { mergeExtraArgs } from '#pkg/supervisor/args.ts'
import type { ProcessSpec } from '#pkg/supervisor/process.ts'
import { kubeletConfiguration } from '#pkg/component/worker/kubelet-config.ts'
import { writeKubeletKubeconfig } from '#pkg/component/worker/node-certificate.ts'
import { nodeIp } from '#pkg/component/worker/node-ip.ts'
import { ProcessComponent } from '#pkg/component/process-component.ts'
import { processEnv, processPath } from '#pkg/component/worker/process-env.ts'
import type { WorkerContext } from '#pkg/component/worker/worker-context.ts'

/** The node agent. Ending or restarting it leaves pods alone. */
export function kubelet(context: WorkerContext): Component {
  const { options } = context
  const runtime = options.criSocket === undefined ? ['containerd', 'image-import'] : []
  let registered = false
  return new ProcessComponent(
    {
      name: 'kubelet',
      after: [
        'node-certificate',
        'worker-certificates',
        'worker-config',
        'nllb',
        'host-network',
        ...runtime,
        ...options.startAfter.api,
      ],
      prepare: async ({ signal }) => await prepare(context, signal),
      probe: async (signal) => {
        await probeHttp(`http://127.0.0.1:${ports.kubeletHealthz}/healthz`, { signal })
        // Once is enough: a node that is deleted later is the administrator's doing, not the kubelet's failure.
        registered ||= await isRegistered(context, signal)
        if (!registered) throw new Error(`node ${options.nodeName} is not registered yet`)
      },
    },
    context.deps,
  )
}

async function prepare(context: WorkerContext, signal: AbortSignal): Promise<ProcessSpec> {
  const { options, layout, deps } = context
  const { vars } = options
  const [path, address] = await Promise.all([
    deps.binaries.stage('kubelet', { signal }),
    nodeIp(context),
    ensureDir(vars.kubeletRootDir, { mode: 0o755 }),
    ensureDir(dirname(layout.kubeletConfigFile), { mode: modes.runDir }),
    writeKubeletKubeconfig(context),
  ])
  const config = kubeletConfiguration(context.config.get().kubeletConfiguration, {
    caFile: layout.caFile,
    cgroupDriver: deps.host.cgroupDriver,
    runtimeEndpoint: runtimeEndpoint(context),
    resolvConf: deps.host.resolvConf,
    taints: options.taints,
  })
  await writeFileAtomic(layout.kubeletConfigFile, stringify(config), { mode: modes.certificate })
  return {
    name: 'kubelet',
    path,
    args: kubeletArgs(context, address),
    env: { ...processEnv.kubelet, PATH: processPath(vars.binDir) },
    pidFile: join(vars.runDir, 'kubelet.pid'),
    stopGraceMs: 10_000,
  }
}

/** The command line; what --kubelet-extra-args says wins. Pure. */
export function kubeletArgs(context: Pick<WorkerContext, 'options' | 'layout'>, address: string): string[] {
  const { options, layout } = context
  const { vars, labels } = options
  const labelList = Object.entries(labels).map(([key, value]) => `${key}=${value}`)
  return mergeExtraArgs(
    {
      config: layout.kubeletConfigFile,
      kubeconfig: vars.kubeletKubeconfig,
      'cert-dir': layout.kubeletPkiDir,
      'root-dir': vars.kubeletRootDir,
      'hostname-override': options.nodeName,
      'node-ip': address,
      ...(labelList.length === 0 ? {} : { 'node-labels': labelList.join(',') }),
      ...(options.cloudProvider ? { 'cloud-provider': 'external' } : {}),
      v: options.logLevels['kubelet'] ?? '1',
    },
    {},
    options.kubeletExtraArgs,
  )
}

function runtimeEndpoint({ options }: WorkerContext): string {
  return options.criSocket?.replace(/^remote:/, '') ?? `unix://${options.vars.containerdSocket}`
}

/** Asks with the kubelet's own identity: the Node authorizer lets it read its own Node object only. */
async function isRegistered({ options }: WorkerContext, signal: AbortSignal): Promise<boolean> {
  const client = new KubeClient(await loadKubeconfig(options.vars.kubeletKubeconfig))
  try {
    return (await client.find(resources.nodes, options.nodeName, { signal })) !== undefined
  } finally {
    client.close()
  }
}
