/**
 * Environment of each Go program of a controller: when its heap is collected. In one table because the numbers were
 * measured together.
 *
 * GOGC is the growth of the heap, in percent, between two collections; what is live in kube-apiserver is 80 MB on an idle
 * cluster. A start allocates a lot and keeps little: at GOGC=100 kube-apiserver needs 3.3 s of CPU to /readyz, at 30
 * 4.4 s. An idle process is the other way round: 196 MB of anonymous memory at 100, 140 MB at 30. K0S_SETTLED_GOGC is
 * read by our own main of the Kubernetes programs (embedded-bins/kubernetes/kube/settle.go), which changes to it half a
 * minute after the start. There is no GOMEMLIMIT: a limit that suits a small cluster makes a large one collect for ever.
 */
export const goRuntime = {
  'kube-apiserver': { GOGC: '100', K0S_SETTLED_GOGC: '30' },
  'kube-controller-manager': { GOGC: '100', K0S_SETTLED_GOGC: '30' },
  'kube-scheduler': { GOGC: '100', K0S_SETTLED_GOGC: '30' },
  /** Small heap; its memory is the mapped database file. */
  etcd: { GOGC: '50' },
} as const satisfies Readonly<Record<string, Readonly<Record<string, string>>>>
