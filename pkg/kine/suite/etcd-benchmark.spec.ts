import { existsSync } from 'node:fs'
import { benchmarkRuns, ETCD_BENCHMARK, runEtcdBenchmark } from '#pkg/kine/testing/etcd-benchmark.ts'
import { endpointOf } from '#pkg/kine/testing/servers.ts'
import { onEach } from '#pkg/kine/suite/fixture.ts'
import { KINE_TARGETS, LONG } from '#pkg/kine/suite/targets.ts'

// Only where it has been built (make test-bins).
if (existsSync(ETCD_BENCHMARK)) {
  onEach(KINE_TARGETS, "etcd's benchmark tool", (on) => {
    for (const run of benchmarkRuns(LONG ? 20 : 1)) {
      it(`runs ${run.split(' ')[0] ?? ''}`, async function () {
        this.timeout(90_000)
        await runEtcdBenchmark(endpointOf(on.server), run)
      })
    }
  })
}
