import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { defineCommand, type CommandIo } from '#cmd/define.ts'
import { execProgram } from '#cmd/exec-program.ts'
import { cfgVars, defaultDataDir } from '#pkg/config/cfg-vars.ts'

export const kubectl = defineCommand({
  id: 'kubectl',
  aliases: ['kc'],
  summary: 'Run kubectl against this cluster',
  description:
    'All arguments belong to kubectl, but for --data-dir as the first one. Without --kubeconfig and KUBECONFIG it uses the administrator of the controller on this host, if it may be read. A link named kubectl to k0s does the same.',
  examples: [
    { description: 'The nodes of this cluster', command: 'kubectl get nodes' },
    { description: 'A shell in a pod', command: 'kubectl exec -it my-pod -- sh' },
  ],
  args: [{ name: 'arguments', description: 'arguments of kubectl', multiple: true }],
  flags: {},
  passThrough: true,
  withoutOclif: true,
  run: async ({ args, io }) => {
    const { dataDir, rest } = takeDataDir(args)
    const kubeconfig = await findKubeconfig(io, rest, cfgVars({ dataDir }).adminKubeconfig)
    const env = kubeconfig === undefined ? io.env : { ...io.env, KUBECONFIG: kubeconfig }
    await execProgram('kubectl', rest, env)
  },
})

/** `k0s kubectl --data-dir /x get nodes`: kubectl has no such flag, and anywhere else it belongs to somebody's program. */
export function takeDataDir(args: readonly string[]): { readonly dataDir: string; readonly rest: readonly string[] } {
  const [first = '', second] = args
  if (first.startsWith('--data-dir=')) return { dataDir: first.slice('--data-dir='.length), rest: args.slice(1) }
  if (first === '--data-dir' && second !== undefined) return { dataDir: second, rest: args.slice(2) }
  return { dataDir: defaultDataDir, rest: args }
}

/** The file to use when the user named none: the controller's, else the one that `make up` leaves beside the executable. */
export async function findKubeconfig(
  { env, self }: Pick<CommandIo, 'env' | 'self'>,
  args: readonly string[],
  adminKubeconfig: string,
): Promise<string | undefined> {
  const end = args.indexOf('--')
  const own = end === -1 ? args : args.slice(0, end)
  if (own.some((arg) => arg === '--kubeconfig' || arg.startsWith('--kubeconfig='))) return undefined
  if (env['KUBECONFIG'] !== undefined && env['KUBECONFIG'] !== '') return undefined
  for (const path of [adminKubeconfig, join(dirname(self), 'kubeconfig')]) {
    if (await isReadable(path)) return path
  }
  return undefined
}

async function isReadable(path: string): Promise<boolean> {
  try {
    await access(path, constants.R_OK)
    return true
  } catch {
    return false
  }
}
