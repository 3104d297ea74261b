import type { KubeObject } from '#pkg/kubernetes/types.ts'

/** A Lease of coordination.k8s.io/v1: what is used of it here. */
export interface Lease extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string
    readonly leaseDurationSeconds?: number
    readonly acquireTime?: string
    readonly renewTime?: string
    readonly leaseTransitions?: number
  }
}
