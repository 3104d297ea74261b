import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { clusterCaPem, publicUrl } from '#cmd/cluster-access.ts'
import { defineCommand } from '#cmd/define.ts'
import * as flag from '#cmd/flags/kinds.ts'
import { outputFlags, pathFlags, varsOf } from '#cmd/flags/shared.ts'
import { asFileError } from '#pkg/file/errors.ts'

export const kubeconfigAdmin = defineCommand({
  id: 'kubeconfig admin',
  summary: "Print the administrator's kubeconfig",
  description: 'With the address under which other hosts reach the API server. Keep it secret: it may do everything.',
  examples: [{ description: 'For kubectl on another host', command: 'kubeconfig admin > ~/.kube/config' }],
  flags: { ...pathFlags, ...outputFlags({ verbose: false }) },
  run: async ({ flags, io }) => {
    const { parseKubeconfig, renderKubeconfig } = await import('#pkg/kubernetes/kubeconfig.ts')
    const vars = varsOf(flags)
    const text = await asFileError('read', vars.adminKubeconfig, () => readFile(vars.adminKubeconfig, 'utf8'))
    io.stdout(renderKubeconfig({ ...parseKubeconfig(text), server: await publicUrl(vars, 'api') }))
  },
})

export const kubeconfigCreate = defineCommand({
  id: 'kubeconfig create',
  summary: 'Make a kubeconfig for a user',
  description:
    'Signs a client certificate with the authority of the cluster, on this controller. What the user may do is up to RBAC.',
  examples: [
    { description: 'A user without any rights yet', command: 'kubeconfig create alice > alice.conf' },
    {
      description: 'A user of a group, for a month',
      command: 'kubeconfig create --groups=developers --certificate-expires-after=720h alice',
    },
  ],
  args: [{ name: 'user', description: 'name of the user in Kubernetes', required: true }],
  flags: {
    ...pathFlags,
    ...outputFlags({ verbose: false }),
    groups: flag.text('group of the user in Kubernetes'),
    'certificate-expires-after': flag.duration('how long the certificate is valid', {
      defaultMs: 8_760 * 3_600_000,
      minMs: 60_000,
    }),
    'context-name': flag.text('name of the context in the kubeconfig', { default: 'k0s' }),
  },
  run: async ({ flags, args, io }) => {
    const [{ loadCa }, { issueCertificate }, { renderKubeconfig }] = await Promise.all([
      import('#pkg/certificate/authority.ts'),
      import('#pkg/certificate/issue.ts'),
      import('#pkg/kubernetes/kubeconfig.ts'),
    ])
    const vars = varsOf(flags)
    const user = args[0] ?? ''
    const keyPath = join(vars.pkiDir, 'ca.key')
    const caPem = await clusterCaPem(vars)
    const caKeyPem = await asFileError('read', keyPath, () => readFile(keyPath, 'utf8'))
    const { certPem, keyPem } = issueCertificate(loadCa(caPem, caKeyPem), {
      commonName: user,
      organizations: flags.groups === '' ? [] : [flags.groups],
      usages: ['client'],
      validForMs: flags['certificate-expires-after'],
    })
    const server = await publicUrl(vars, 'api')
    io.stdout(renderKubeconfig({ server, caPem, certPem, keyPem, user, context: flags['context-name'] }))
  },
})
