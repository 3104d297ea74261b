import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { checkout } from '#inttest/common/names.ts'
import type { BenchServer } from '#inttest/bench/kine-servers.ts'

const program = join(checkout, 'embedded-bins', 'staging', 'bench-bin', 'etcd-benchmark')

/** One run of each kind of load that etcd's own benchmark tool has for an etcd's clients. */
const runs: readonly string[] = [
  'put --clients=64 --conns=16 --total=5000 --val-size=512 --sequential-keys --key-space-size=5000',
  'range foo --clients=16 --conns=16 --total=3000',
  'txn-put --clients=16 --conns=16 --total=1000 --txn-ops=8 --key-space-size=1000',
  'stm --clients=8 --conns=8 --keys=64 --total=300',
  'lease-keepalive --total=500',
  'watch --clients=8 --conns=8 --streams=10 --watch-per-stream=20 --put-total=300 --put-rate=200',
  'watch-latency --streams=10 --watchers-per-stream=5 --put-total=200 --put-rate=100',
]
const LIMIT_MS = 60_000

/** Shows that etcd's benchmark tool works against a server: each run ends in time, without an error, and finds what it wrote. */
export async function runEtcdTool(server: BenchServer): Promise<void> {
  for (const run of runs) {
    const args = [`--endpoints=${server.endpoint}`, ...run.split(' ')]
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: LIMIT_MS })
    const exited = once(child, 'exit')
    const [output, errors] = await Promise.all([child.stdout.toArray(), child.stderr.toArray()])
    const [code] = (await exited) as [number | null]
    const text = Buffer.concat(output).toString()
    if (code !== 0 || text.includes('Error distribution')) {
      throw new Error(`etcd's benchmark ${run}: ${String(code)}\n${text}\n${Buffer.concat(errors).toString()}`)
    }
    const rate = /Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]
    console.log(`etcd's benchmark ${run}: ${rate === undefined ? 'done' : `${Number(rate).toFixed(0)} requests/s`}`)
  }
}
