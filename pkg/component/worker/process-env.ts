/** Environment of each process of a worker besides PATH, in one place because the numbers were measured together. */
export const processEnv = {
  /**
   * Go collects when the heap has grown by GOGC percent. Anonymous memory of an idle node after a minute, MB, at 50 and
   * at 30: containerd 16 and 14, kubelet 24 and 23; at 40 and at 20: kube-proxy 16.5 and 15.4, Felix 13.3 and 12.1. Their
   * CPU time did not change measurably: they are idle nearly always.
   */
  containerd: { GOGC: '30' },
  kubelet: { GOGC: '30' },
  kubeProxy: { GOGC: '20' },
  flannel: { GOGC: '20' },
  felix: { GOGC: '20' },
} as const satisfies Readonly<Record<string, Readonly<Record<string, string>>>>

/** PATH of a managed process: our executables first, then where distributions keep nft, mount, modprobe and friends. */
export function processPath(binDir: string): string {
  return [binDir, '/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'].join(':')
}
