/**
 * Environment of each Go program of a controller: when its heap is collected. In one table because the numbers were
 * measured together.
 *
 * GOGC is the growth of the heap, in percent, between two collections. A start allocates a lot and keeps little: at 100
 * kube-apiserver needs 3.3 s of CPU to /readyz, at 60 3.8 s, at 30 4.4 s. Idle, it keeps about 100 MB alive, and its
 * anonymous memory after two minutes is 167 MB at 30, 183 MB at 50, 205 MB at 100; 176 MB at 60 and 186 MB at 100 when it
 * changes to 30 half a minute after the start. K0S_SETTLED_GOGC is that change: our own main of the Kubernetes programs
 * reads it, and then also forgets the pages of its executable that only the start needed
 * (embedded-bins/kubernetes/kube/settle.go). There is no GOMEMLIMIT: a limit that suits a small cluster makes a
 * large one collect for ever.
 */
export const goRuntime = {
  'kube-apiserver': { GOGC: '100', K0S_SETTLED_GOGC: '25' },
  'kube-controller-manager': { GOGC: '100', K0S_SETTLED_GOGC: '20' },
  'kube-scheduler': { GOGC: '100', K0S_SETTLED_GOGC: '20' },
  /** Small heap; its memory is the mapped database file. */
  etcd: { GOGC: '30' },
} as const satisfies Readonly<Record<string, Readonly<Record<string, string>>>>
