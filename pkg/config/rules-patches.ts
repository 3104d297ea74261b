import type { ClusterSpec } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'
import type { Problem } from '#pkg/config/problem.ts'
import { PatchError } from '#pkg/patch/error.ts'
import { parsePatch, type PatchSpec } from '#pkg/patch/patch.ts'

/** Patches whose content is none of its type. Whether they fit their object shows when that is rendered. Pure. */
export function patchProblems({ network, metricsServer }: ClusterSpec): readonly Problem[] {
  const lists = {
    'spec.network.coreDNS.patches': network.coreDNS.patches,
    'spec.metricsServer.patches': metricsServer.patches,
  }
  return Object.entries(lists).flatMap(([path, patches]) =>
    patches.flatMap(({ patch }, i) => {
      const message = contentProblem(patch)
      return message === undefined ? [] : [{ path: `${path}[${i}].patch.content`, message }]
    }),
  )
}

function contentProblem(patch: PatchSpec): string | undefined {
  try {
    parsePatch(patch)
    return undefined
  } catch (err) {
    if (err instanceof PatchError) return err.message
    throw err
  }
}
