/**
 * Environment of each Go program of a controller: GOGC and GOMEMLIMIT, in one table because the numbers were measured
 * together (PSS after idle minutes, beside API latency). Go doubles the live heap before it collects; these processes are
 * idle nearly always, so that collecting more often costs little and gives a good part of the heap back.
 */
export const goRuntime = {
  /** Live heap 80 MB on an idle cluster. Anonymous memory after a minute: 161 MB at 50, 138 at 30, 136 at 25; CPU alike. */
  'kube-apiserver': { GOGC: '30' },
  'kube-controller-manager': { GOGC: '30' },
  'kube-scheduler': { GOGC: '30' },
  /** Small heap; its memory is the mapped database file. */
  etcd: { GOGC: '50' },
} as const satisfies Readonly<Record<string, Readonly<Record<string, string>>>>
