import { readFile } from 'node:fs/promises'
import { loadCa } from '#pkg/certificate/authority.ts'
import { issueCertificate, renewalReason } from '#pkg/certificate/issue.ts'
import type { Component } from '#pkg/component/component.ts'
import { Addon } from '#pkg/component/cluster/addon.ts'
import {
  metricsServerDnsNames,
  metricsServerObjects,
  metricsServerTlsSecret,
  type MetricsServerOptions,
} from '#pkg/component/cluster/metrics-server-render.ts'
import { patchObjects, type ObjectPatches, type PatchedObjects } from '#pkg/component/cluster/patch-objects.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { applyUntilDone } from '#pkg/kubernetes/apply.ts'
import type { KubeClient } from '#pkg/kubernetes/client.ts'
import { ResourceMapper } from '#pkg/kubernetes/discovery.ts'
import { inNamespace, resources } from '#pkg/kubernetes/resources.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Options of the component. */
export interface MetricsServerComponentOptions extends Omit<MetricsServerOptions, 'caPem'> {
  readonly manifestsDir: string
  readonly patches: ObjectPatches
  /** The cluster's authority, PEM files: it signs the serving certificate. */
  readonly caCertFile: string
  readonly caKeyFile: string
  /** Life of the serving certificate, milliseconds. */
  readonly certificateValidForMs: number
}

/** How often the serving certificate is looked at; metrics-server reads the files again by itself. */
const CHECK_MS = 6 * 60 * 60_000

interface TlsSecret extends KubeObject {
  readonly data?: { readonly 'tls.crt'?: string; readonly 'tls.key'?: string }
}

/**
 * The metrics API behind `kubectl top`: writes stack `metricserver` and keeps its serving certificate valid.
 *
 * @throws PatchError
 */
export function metricsServer(
  options: MetricsServerComponentOptions,
  { client }: { readonly client: ClientSource },
): Component {
  const { manifestsDir, caCertFile, patches } = options
  const objects = (caPem: string): PatchedObjects => patchObjects(metricsServerObjects({ ...options, caPem }), patches)
  objects('') // A patch that does not fit fails here, before anything is started.
  return new Addon(
    { name: 'metrics-server', manifestsDir },
    {
      client,
      objects: async () => objects(await readFile(caCertFile, 'utf8')),
      keep: (of, context) => keepCertificate(of, options, context),
    },
  )
}

type Issuer = Pick<MetricsServerComponentOptions, 'caCertFile' | 'caKeyFile' | 'certificateValidForMs'>

async function keepCertificate(
  client: KubeClient,
  issuer: Issuer,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
): Promise<void> {
  const deps = { client, mapper: new ResourceMapper(client) }
  for (;;) {
    try {
      const secret = await renewed(client, issuer, signal)
      if (secret !== undefined) await applyUntilDone([secret], deps, { signal, log })
      await sleep(CHECK_MS, { signal })
    } catch (thrown) {
      signal.throwIfAborted()
      log.debug('certificate of metrics-server not checked', { err: errorMessage(thrown) })
      await sleep(RETRY_MS, { signal })
    }
  }
}

/** A Secret with a new certificate, or undefined while the present one will do. */
async function renewed(
  client: KubeClient,
  { caCertFile, caKeyFile, certificateValidForMs: validForMs }: Issuer,
  signal: AbortSignal,
): Promise<KubeObject | undefined> {
  const request = {
    commonName: 'metrics-server',
    dnsNames: metricsServerDnsNames,
    usages: ['server'],
    validForMs,
  } as const
  const { namespace, name } = metricsServerTlsSecret
  const ca = loadCa(await readFile(caCertFile, 'utf8'), await readFile(caKeyFile, 'utf8'))
  const present = await readSecret(client, signal)
  if (present !== undefined && renewalReason(present, request, ca, new Date()) === undefined) return undefined
  const { certPem, keyPem } = issueCertificate(ca, request)
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace, labels: { 'k8s-app': 'metrics-server' } },
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': base64(certPem), 'tls.key': base64(keyPem) },
  }
}

const RETRY_MS = 500

async function readSecret(
  client: KubeClient,
  signal: AbortSignal,
): Promise<{ readonly certPem: string; readonly keyPem: string } | undefined> {
  const { namespace, name } = metricsServerTlsSecret
  const secret = await client.find<TlsSecret>(inNamespace(resources.secrets, namespace), name, { signal })
  return secret && { certPem: unbase64(secret.data?.['tls.crt']), keyPem: unbase64(secret.data?.['tls.key']) }
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')
const unbase64 = (text = ''): string => Buffer.from(text, 'base64').toString('utf8')
