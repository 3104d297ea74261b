/** Environment of each process of a worker besides PATH, in one place because the numbers were measured together. */
export const processEnv = {
  /**
   * GOGC is the growth of the heap, in percent, between two collections: high while a program starts, low once it idles.
   * The Kubernetes programs change to K0S_SETTLED_GOGC half a minute after their start (embedded-bins/kubernetes/kube/settle.go);
   * containerd and Felix have one value for both. Anonymous memory of an idle node, MB, at 50 and at 30: containerd 16 and
   * 14, kubelet 24 and 23; at 40 and at 20: kube-proxy 16.5 and 15.4, Felix 13.3 and 12.1, with CPU time alike.
   */
  containerd: { GOGC: '30' },
  kubelet: { GOGC: '100', K0S_SETTLED_GOGC: '20' },
  kubeProxy: { GOGC: '100', K0S_SETTLED_GOGC: '20' },
  flannel: { GOGC: '100', K0S_SETTLED_GOGC: '20' },
  felix: { GOGC: '20' },
} as const satisfies Readonly<Record<string, Readonly<Record<string, string>>>>

/** PATH of a managed process: our executables first, then where distributions keep nft, mount, modprobe and friends. */
export function processPath(binDir: string): string {
  return [binDir, '/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'].join(':')
}
