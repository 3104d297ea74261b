/** Environment of each process of a worker besides PATH, in one place because the numbers were measured together. */
export const processEnv = {
  /**
   * Go's collector at half its default: the live heap of these processes is 5 to 20 MB and mostly idle, so that the
   * memory saved (a quarter of the heap each) costs a few milliseconds of CPU a minute.
   */
  containerd: { GOGC: '50' },
  kubelet: { GOGC: '50' },
  kubeProxy: { GOGC: '40' },
  flannel: { GOGC: '40' },
  felix: { GOGC: '40' },
} as const satisfies Readonly<Record<string, Readonly<Record<string, string>>>>

/** PATH of a managed process: our executables first, then where distributions keep nft, mount, modprobe and friends. */
export function processPath(binDir: string): string {
  return [binDir, '/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'].join(':')
}
