import { once } from 'node:events'
import type { Logger } from '#pkg/log/logger.ts'
import type { KonnectivityServerOptions } from '#konnectivity/server/options.ts'
import { KonnectivityServer } from '#konnectivity/server/server.ts'

/**
 * `k0s konnectivity-server`: serves until `signal` aborts, then stops in good order.
 *
 * @throws TunnelListenError or TunnelFileError when it cannot start.
 */
export async function runKonnectivityServer(
  options: KonnectivityServerOptions,
  deps: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<void> {
  const server = new KonnectivityServer(options, { log: deps.log })
  await server.start()
  try {
    if (!deps.signal.aborted) await once(deps.signal, 'abort')
  } finally {
    await server.stop()
  }
}
