import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'

/** etcd's own benchmark tool (tools/benchmark), built for tests. */
export const ETCD_BENCHMARK: string = resolve('embedded-bins/staging/test-bin/etcd-benchmark')

const LIMIT_MS = 60_000

/** Each kind of load that the tool has for clients; a load of size 1 takes a moment. */
export function benchmarkRuns(size: number): readonly string[] {
  const times = (count: number): string => String(Math.ceil(count * size))
  return [
    `put --clients=64 --conns=16 --total=${times(500)} --val-size=512 --sequential-keys --key-space-size=${times(500)}`,
    `range foo --clients=16 --conns=16 --total=${times(300)}`,
    `txn-put --clients=16 --conns=16 --total=${times(100)} --txn-ops=8 --key-space-size=${times(100)}`,
    `txn-mixed foo --clients=8 --conns=8 --total=${times(100)} --key-space-size=${times(100)}`,
    `stm --clients=8 --conns=8 --keys=64 --total=${times(30)}`,
    `lease-keepalive --total=${times(50)}`,
    `watch --clients=8 --conns=8 --streams=10 --watch-per-stream=20 --put-total=${times(30)} --put-rate=200`,
    `watch-latency --streams=10 --watchers-per-stream=5 --put-total=${times(20)} --put-rate=100`,
  ]
}

/**
 * One run against a server, `host:port` or `unix:///path`. Returns the requests a second, undefined where it tells none.
 *
 * @throws Error if it does not end in time, or any of its requests has failed
 */
export async function runEtcdBenchmark(endpoint: string, run: string): Promise<number | undefined> {
  const args = [`--endpoints=${endpoint}`, ...run.split(' ')]
  const child = spawn(ETCD_BENCHMARK, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: LIMIT_MS })
  const exited = once(child, 'exit')
  const [output, errors] = await Promise.all([child.stdout.toArray(), child.stderr.toArray()])
  const [code] = (await exited) as [number | null]
  const text = Buffer.concat(output).toString()
  if (code !== 0 || text.includes('Error distribution')) {
    throw new Error(`etcd's benchmark ${run}: ${String(code)}\n${text}\n${Buffer.concat(errors).toString()}`)
  }
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]
  return rate === undefined ? undefined : Number(rate)
}
