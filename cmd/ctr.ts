import { defineCommand } from '#cmd/define.ts'
import { execProgram } from '#cmd/exec-program.ts'
import { cfgVars } from '#pkg/config/cfg-vars.ts'

export const ctr = defineCommand({
  id: 'ctr',
  summary: "Run containerd's ctr against this node's containerd",
  description:
    'All arguments belong to ctr. The address and the namespace default to those of k0s (CONTAINERD_ADDRESS and CONTAINERD_NAMESPACE, where they are not set).',
  examples: [
    { description: 'The images that pods can use', command: 'ctr images ls' },
    { description: 'The containers of pods', command: 'ctr containers ls' },
  ],
  args: [{ name: 'arguments', description: 'arguments of ctr', multiple: true }],
  flags: {},
  passThrough: true,
  withoutOclif: true,
  run: async ({ args, io }) => {
    await execProgram('ctr', args, ctrEnvironment(io.env))
  },
})

/** ctr reads its --address and --namespace from these; that leaves the arguments as they are. */
export function ctrEnvironment(
  env: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string | undefined>> {
  return { CONTAINERD_ADDRESS: cfgVars().containerdSocket, CONTAINERD_NAMESPACE: 'k8s.io', ...env }
}
