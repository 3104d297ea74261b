import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'
import type { Random } from '#pkg/kine/testing/random.ts'
import { openWatch } from '#pkg/kine/testing/watching.ts'
import type { WatchRecorder } from '#pkg/kine/testing/watch-recorder.ts'

/** What a watch that is interrupted again and again works with. */
export interface ResumingWatchDeps {
  /** The server to use next; any that serves the store. */
  readonly connect: () => EtcdClient
  readonly recorder: WatchRecorder
  readonly random: Random
}

/** Wait while the server is away. */
const RETRY_MS = 20
/** A stream ends after fewer messages than this, */
const MAX_MESSAGES = 8
/** or when nothing has come for so long. */
const MAX_QUIET_MS = 1000

/**
 * Watches with `request`, cutting its stream at random moments and going on behind what it has seen, until `done`
 * says so. Breaks of the server's making are survived too.
 */
export async function watchResuming(
  request: object,
  { connect, recorder, random }: ResumingWatchDeps,
  done: () => boolean,
): Promise<void> {
  while (!done()) {
    const etcd = connect()
    const stream = await openWatch(etcd, { ...request, prev_kv: true, start_revision: recorder.next }).catch(
      () => undefined,
    )
    if (stream === undefined) {
      await sleep(RETRY_MS)
      continue
    }
    try {
      for (let left = 1 + random.below(MAX_MESSAGES); left > 0 && !done(); left -= 1) {
        if (random.oneIn(3)) stream.write({ progress_request: {} })
        const message = await stream.next(MAX_QUIET_MS).catch(() => undefined)
        if (message === undefined) break
        recorder.take(message)
      }
    } finally {
      stream.cancel()
    }
  }
}
