import type { BenchServer } from '#inttest/bench/kine-servers.ts'
import { benchmarkRuns, runEtcdBenchmark } from '#pkg/kine/testing/etcd-benchmark.ts'

/** Shows that etcd's benchmark tool works against a server, and what it says. */
export async function runEtcdTool(server: BenchServer): Promise<void> {
  for (const run of benchmarkRuns(10)) {
    const rate = await runEtcdBenchmark(server.endpoint, run)
    console.log(`etcd's benchmark ${run}: ${rate === undefined ? 'done' : `${rate.toFixed(0)} requests/s`}`)
  }
}
