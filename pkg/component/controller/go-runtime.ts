/**
 * Environment of each Go program of a controller: GOGC and GOMEMLIMIT, in one table because the numbers were measured
 * together (PSS after idle minutes, beside API latency). Go doubles the live heap before it collects; these processes are
 * idle nearly always, so that collecting more often costs little and gives a good part of the heap back.
 */
export const goRuntime = {
  /** Live heap 60 to 90 MB: at 100 the collector lets it double. The limit turns a burst of LISTs into more collections. */
  'kube-apiserver': { GOGC: '50' },
  'kube-controller-manager': { GOGC: '40' },
  'kube-scheduler': { GOGC: '40' },
  /** Small heap; its memory is the mapped database file. */
  etcd: { GOGC: '50' },
} as const satisfies Readonly<Record<string, Readonly<Record<string, string>>>>
