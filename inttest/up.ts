import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'
import { checkout } from '#inttest/common/names.ts'
import { demoManifest } from '#inttest/common/demo.ts'
import { upOptions } from '#inttest/common/up-options.ts'

const began = Date.now()

function say(line: string): void {
  console.log(`[${((Date.now() - began) / 1000).toFixed(1).padStart(5)} s] ${line}`)
}

/** `make up`: a cluster of two hosts on this machine, a web application on it, and its page. */
async function main(): Promise<void> {
  const { instance, single, dir, kubeconfig } = upOptions(process.argv.slice(2))
  const cluster = new Cluster({
    instance,
    dir,
    workers: single ? 0 : 1,
    controllerArgs: single ? ['--single'] : [],
    images: ['tools'],
    progress: say,
  })
  if (await cluster.controller.attach()) {
    say(`the cluster is already up; \`make down\` ends it`)
  } else {
    await cluster.down() // what an interrupted run left
    await cluster.up()
  }
  await publishKubeconfig(cluster, kubeconfig)
  const node = single ? cluster.controller : cluster.worker
  if (single) await cluster.untilNodesReady([node.name])
  await deployDemo(cluster, node)
  console.log(whatNext(cluster, node))
}

async function publishKubeconfig(cluster: Cluster, file: string): Promise<void> {
  const admin = cluster.controller.diskPath('/var/lib/k0s/pki/admin.conf')
  // Inside the host the server is on loopback; from the machine it is the controller's address on the bridge.
  const text = await readFile(admin, 'utf8')
  const server = `https://${cluster.controller.address}:6443`
  await rm(file, { force: true })
  await writeFile(file, text.replace(/server: .*/, `server: ${server}`), { mode: 0o600 })
}

async function deployDemo(cluster: Cluster, node: Host): Promise<void> {
  say('deploying a small web application with a Service')
  await cluster.apply(demoManifest())
  await eventually('the web application is Available', 180_000, async () => {
    await cluster.mustKubectl(['rollout', 'status', 'deployment/hello', '--timeout=10s'])
  })
  const service = await cluster.get(['service', 'hello'])
  const url = `http://${String(service.spec.clusterIP)}/`
  const page = await eventually(`the page at ${url}`, 60_000, () => fetchIn(node, url))
  say(`fetched ${url} on ${node.name} through the Service:`)
  console.log(
    page
      .trim()
      .split('\n')
      .map((line) => `          ${line}`)
      .join('\n'),
  )
}

/** Fetches a page from inside a host. */
async function fetchIn(host: Host, url: string): Promise<string> {
  const script =
    'fetch(process.argv[1],{signal:AbortSignal.timeout(3000)}).then((r)=>r.text()).then((t)=>process.stdout.write(t))'
  return host.must([join(checkout, 'build', 'lib', 'node'), '-e', script, url])
}

function whatNext(cluster: Cluster, node: Host): string {
  return `
The cluster is up: ${cluster.controller.name} (${cluster.controller.address})${node === cluster.controller ? ', control plane and worker in one' : ` runs the control plane and no pod; ${node.name} (${node.address}) runs the pods`}.
Try:
  build/k0s kubectl get nodes -o wide
  build/k0s kubectl get pods -A
  build/k0s kubectl exec deploy/hello -- wget -qO- http://hello
  build/k0s kubectl logs deploy/hello
  build/k0s kubectl top nodes
Logs of the two roles: .cluster/up/*/k0s.log. End it all: make down`
}

await main().catch((err: unknown) => {
  console.error(`make up: ${(err as Error).message}`)
  process.exitCode = 1
})
