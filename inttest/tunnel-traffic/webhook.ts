import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Cluster } from '#inttest/common/cluster.ts'
import { testImage } from '#inttest/common/images.ts'
import { must } from '#inttest/common/run.ts'
import { tunnelClient } from '#inttest/konnectivity/programs.ts'

const NAME = 'webhook'

/** A validating webhook for the ConfigMaps of a namespace, served by a pod on each worker, that fails closed. */
export async function startWebhook(cluster: Cluster, namespace: string): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'k0s-webhook-'))
  try {
    const dns = `${NAME}.${namespace}.svc`
    await must([tunnelClient, 'certificates', `--dir=${dir}`, `--dns=${dns}`, `tls=${dns}`])
    const [ca, crt, key] = await Promise.all(
      ['ca.crt', 'tls.crt', 'tls.key'].map(async (file) => (await readFile(join(dir, file))).toString('base64')),
    )
    const items = [
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: NAME, namespace },
        data: { 'tls.crt': crt, 'tls.key': key },
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: NAME, namespace },
        spec: { selector: { app: NAME }, ports: [{ port: 443, targetPort: 8443 }] },
      },
      ...cluster.workers.map(({ name }) => pod(name, namespace)),
    ]
    await cluster.apply(JSON.stringify({ apiVersion: 'v1', kind: 'List', items }))
    const ready = ['wait', '-n', namespace, '--for=condition=Ready', 'pod', '-l', `app=${NAME}`, '--timeout=90s']
    await cluster.mustKubectl(ready, { timeoutMs: 100_000 })
    await cluster.apply(JSON.stringify(configuration(namespace, ca ?? '')))
  } finally {
    await rm(dir, { recursive: true })
  }
}

function pod(node: string, namespace: string): object {
  const files = '/tls'
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `${NAME}-${node}`, namespace, labels: { app: NAME } },
    spec: {
      nodeName: node,
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: 'main',
          image: testImage('agnhost'),
          command: [
            '/agnhost',
            'webhook',
            `--tls-cert-file=${files}/tls.crt`,
            `--tls-private-key-file=${files}/tls.key`,
            '--port=8443',
          ],
          readinessProbe: { httpGet: { scheme: 'HTTPS', port: 8443, path: '/readyz' }, periodSeconds: 1 },
          volumeMounts: [{ name: 'tls', mountPath: files }],
        },
      ],
      volumes: [{ name: 'tls', secret: { secretName: NAME } }],
    },
  }
}

function configuration(namespace: string, caBundle: string): object {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: NAME },
    webhooks: [
      {
        name: 'configmaps.inttest.local',
        clientConfig: { service: { name: NAME, namespace, path: '/configmaps' }, caBundle },
        rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] }],
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
        failurePolicy: 'Fail',
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
        timeoutSeconds: 10,
      },
    ],
  }
}
