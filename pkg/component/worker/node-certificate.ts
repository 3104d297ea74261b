import { rename, rm, rmdir, symlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Component, StartContext } from '#pkg/component/component.ts'
import { generateKeyPem } from '#pkg/certificate/key.ts'
import { modes } from '#pkg/constant/files.ts'
import { readIfExists, writeFileAtomic } from '#pkg/file/atomic.ts'
import { ensureDir } from '#pkg/file/directory.ts'
import { renderKubeconfig } from '#pkg/kubernetes/kubeconfig.ts'
import { errnoCode } from '#pkg/errors/error.ts'
import { readPemPair } from '#pkg/component/worker/pem-file.ts'
import type { WorkerContext } from '#pkg/component/worker/worker-context.ts'

/**
 * The kubelet's first client certificate and its kubeconfig; the kubelet renews the certificate itself from then on.
 * A kill between any two steps is repaired by the next start: the key is on disk before the request is made, the
 * request's name follows from the key, and the link to the result is the last thing written.
 */
export function nodeCertificate(context: WorkerContext): Component {
  const { layout, options } = context
  return {
    name: 'node-certificate',
    after: options.startAfter.credentials,
    start: async (start) => {
      await ensureDir(layout.kubeletPkiDir, { mode: 0o755 })
      await ensureDir(options.vars.workerPkiDir, { mode: 0o700 })
      await writeFileAtomic(layout.caFile, context.deps.credentials.caPem, { mode: modes.certificate })
      if (await hasNodeCertificate(layout.kubeletClientPem)) return
      try {
        await requestNodeCertificate(context, start)
      } catch (err) {
        await forgetJoin(context)
        throw err
      }
    },
    ready: async () => await Promise.resolve(),
    stop: async () => await Promise.resolve(),
  }
}

/** Whether the kubelet has a client certificate that is still valid: the node has joined. */
export async function hasNodeCertificate(pemFile: string): Promise<boolean> {
  const pair = await readPemPair(pemFile)
  return pair !== undefined && pair.notAfter.getTime() > Date.now()
}

/** Writes the kubelet's kubeconfig; the certificate it names is renewed under the same name by the kubelet. */
export async function writeKubeletKubeconfig(context: WorkerContext): Promise<void> {
  const { layout, options, deps } = context
  const text = renderKubeconfig({
    server: context.localApiServer(),
    caPem: deps.credentials.caPem,
    certFile: layout.kubeletClientPem,
    keyFile: layout.kubeletClientPem,
    user: 'kubelet',
  })
  await writeFileAtomic(options.vars.kubeletKubeconfig, text, { mode: modes.kubeconfig })
}

async function requestNodeCertificate(context: WorkerContext, { signal, log }: StartContext): Promise<void> {
  const { layout, options, deps } = context
  const keyPem = (await readIfExists(layout.bootstrapKeyFile)) ?? generateKeyPem()
  await writeFileAtomic(layout.bootstrapKeyFile, keyPem, { mode: modes.privateKey })
  const startedAt = performance.now()
  const certPem = await deps.credentials.certify(
    { identity: 'node', commonName: `system:node:${options.nodeName}`, organizations: ['system:nodes'], keyPem },
    { signal },
  )
  // The kubelet's certificate store keeps dated files and a link to the newest, and refuses a plain file in its place.
  const dated = join(layout.kubeletPkiDir, `kubelet-client-${dateStamp(new Date())}.pem`)
  await writeFileAtomic(dated, `${certPem}${keyPem}`, { mode: modes.privateKey })
  const link = `${layout.kubeletClientPem}.new`
  await rm(link, { force: true })
  await symlink(basename(dated), link)
  await rename(link, layout.kubeletClientPem)
  await rm(layout.bootstrapKeyFile, { force: true })
  log.info('node joined', { node: options.nodeName, durationMs: Math.round(performance.now() - startedAt) })
}

/** A join that failed or was called off leaves nothing: what was written for it goes, and the directories that held nothing else. */
async function forgetJoin({ layout, options }: WorkerContext): Promise<void> {
  for (const file of [layout.bootstrapKeyFile, layout.caFile]) await rm(file, { force: true })
  for (const dir of [layout.kubeletPkiDir, options.vars.workerPkiDir]) {
    await rmdir(dir).catch((err: unknown) => {
      if (errnoCode(err) !== 'ENOTEMPTY') throw err
    })
  }
}

/** `2026-01-31-08-05-09`, the form that the kubelet uses. */
function dateStamp(date: Date): string {
  return date.toISOString().slice(0, 19).replace(/[T:]/g, '-')
}
