import { workerIdentities, type WorkerIdentity } from '#pkg/constant/identity.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'

/**
 * RBAC cannot say "only your own node". Admission can: a worker's flannel changes the status of its node only, its CNI
 * plugin that of pods on its node only, as NodeRestriction has it for kubelets. Pure.
 */
export function nodeBoundaryObjects(): readonly KubeObject[] {
  const { flannel, calicoCni } = workerIdentities
  return [
    ...boundary(
      { name: 'k0s-flannel-own-node', identity: flannel, resource: 'nodes/status' },
      {
        expression: 'object.metadata.name == variables.node',
        message: 'flannel may change the status of its own node only',
      },
    ),
    ...boundary(
      { name: 'k0s-calico-cni-own-pods', identity: calicoCni, resource: 'pods/status' },
      {
        expression: 'object.spec.nodeName == variables.node',
        message: "the CNI plugin may change the status of its own node's pods only",
      },
    ),
  ]
}

function boundary(
  subject: { readonly name: string; readonly identity: WorkerIdentity; readonly resource: string },
  rule: { readonly expression: string; readonly message: string },
): readonly KubeObject[] {
  const { name, identity, resource } = subject
  const apiVersion = 'admissionregistration.k8s.io/v1'
  return [
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicy',
      metadata: { name },
      spec: {
        failurePolicy: 'Fail',
        matchConstraints: {
          resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['UPDATE'], resources: [resource] }],
        },
        // Evaluated first: for everybody else this costs one comparison.
        matchConditions: [{ name: 'identity', expression: `'${identity.group}' in request.userInfo.groups` }],
        variables: [
          { name: 'node', expression: `request.userInfo.username.substring(${identity.commonNamePrefix.length + 1})` },
        ],
        validations: [rule],
      },
    },
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: { name },
      spec: { policyName: name, validationActions: ['Deny'] },
    },
  ]
}
