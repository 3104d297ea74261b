import { DATABASES } from '#pkg/kine/testing/database-servers.ts'
import { allTargets } from '#pkg/kine/testing/targets.ts'
import type { TestTarget } from '#pkg/kine/testing/targets.ts'

const all = allTargets(DATABASES)
const wanted = process.env['K0S_KINE_STORES']?.split(',')

/** Seconds of random requests to each store; a minute and more is the long run, `make check-kine-fuzz`. */
export const FUZZ_SECONDS = Number(process.env['K0S_KINE_FUZZ_SECONDS'] ?? 8)

/** The long run: what takes too long for every run is tested, too. */
export const LONG = FUZZ_SECONDS >= 60

/** The stores of this run: all that the machine has, or those named by K0S_KINE_STORES, `sqlite,etcd`. */
export const TARGETS: readonly TestTarget[] = all.filter(({ name }) => wanted?.includes(name) ?? true)

/** Those that are ours. */
export const KINE_TARGETS: readonly TestTarget[] = TARGETS.filter(({ kine }) => kine)

/** Those on which several instances work at once. */
export const SHARED_TARGETS: readonly TestTarget[] = TARGETS.filter(({ shared }) => shared)

/** Real etcd, what answers are held against. */
export const ORACLE: TestTarget | undefined = all.find(({ kine }) => !kine)
