import type { Cluster } from '#inttest/common/cluster.ts'
import { testImage, type TestImage } from '#inttest/common/images.ts'

/** A pod to be made by `startPods`. */
export interface PodOptions {
  readonly name: string
  readonly namespace?: string
  /** Node to run on; absent: the scheduler decides. */
  readonly node?: string
  readonly labels?: Readonly<Record<string, string>>
  /** Default: sleeps for ever, ending at once when told to. */
  readonly command?: readonly string[]
  /** Default: the tool image. */
  readonly image?: TestImage
}

/** Ends at once on SIGTERM: an unhandled signal to PID 1 is ignored. */
export const SLEEP = ['sh', '-c', 'trap exit TERM; while :; do sleep 3600 & wait $!; done'] as const

/** Serves its own host name on port 8080. */
export const SERVE = [
  'sh',
  '-c',
  'mkdir -p /tmp/www && hostname >/tmp/www/index.html && exec httpd -f -p 8080 -h /tmp/www',
] as const

/** Creates pods of the tool image and waits until all are Ready. */
export async function startPods(cluster: Cluster, pods: readonly PodOptions[]): Promise<void> {
  const list = { apiVersion: 'v1', kind: 'List', items: pods.map(podObject) }
  await cluster.apply(JSON.stringify(list))
  for (const { name, namespace = 'default' } of pods) {
    await cluster.mustKubectl(['wait', '-n', namespace, '--for=condition=Ready', `pod/${name}`, '--timeout=90s'], {
      timeoutMs: 100_000,
    })
  }
}

function podObject({
  name,
  namespace = 'default',
  node,
  labels,
  command = SLEEP,
  image = 'tools',
}: PodOptions): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: name, ...labels } },
    spec: {
      ...(node === undefined ? {} : { nodeName: node }),
      terminationGracePeriodSeconds: 1,
      securityContext: { runAsNonRoot: true, runAsUser: 65532 },
      containers: [{ name: 'main', image: testImage(image), command }],
    },
  }
}

/** The address of a pod. */
export async function podIP(cluster: Cluster, name: string, namespace = 'default'): Promise<string> {
  const pod = await cluster.get(['pod', name, '-n', namespace])
  return pod.status.podIP as string
}

/** Fetches a page from inside a pod; rejects when there is none within `seconds`. */
export async function fetchFrom(
  cluster: Cluster,
  pod: string,
  url: string,
  { namespace = 'default', seconds = 3 }: { readonly namespace?: string; readonly seconds?: number } = {},
): Promise<string> {
  // Not wget's own -T: Debian's static busybox 1.35 crashes on it.
  return (await cluster.exec(pod, ['timeout', String(seconds), 'wget', '-q', '-O', '-', url], namespace)).trim()
}
