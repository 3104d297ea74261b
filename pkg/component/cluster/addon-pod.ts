/** Add-ons run where nothing else may: on tainted control-plane nodes, and before others when a node is full. */
export const addonTolerations = [
  { key: 'CriticalAddonsOnly', operator: 'Exists' },
  { key: 'node-role.kubernetes.io/control-plane', operator: 'Exists', effect: 'NoSchedule' },
]

/** Pod security of add-ons: the user of the shipped images, and no other. */
export const addonPodSecurity = {
  runAsNonRoot: true,
  runAsUser: 65532,
  runAsGroup: 65532,
  seccompProfile: { type: 'RuntimeDefault' },
}

/** Container security of add-ons: nothing that a static binary does not need. */
export const restrictedContainer = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
}
