import { appliedAtStart } from '#pkg/component/cluster/applied-at-start.ts'
import { nodeBoundaryObjects } from '#pkg/component/cluster/node-boundary.ts'
import { rbacObjects, type RbacOptions } from '#pkg/component/cluster/rbac-objects.ts'
import type { Component } from '#pkg/component/component.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'

/** Applies the rights of workers, their bounds, and those of kube-apiserver on kubelets, at every start. */
export function systemRbac(options: RbacOptions, deps: { readonly client: ClientSource }): Component {
  return appliedAtStart('system-rbac', () => [...rbacObjects(options), ...nodeBoundaryObjects()], deps)
}
