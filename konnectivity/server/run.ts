import { once } from 'node:events'
import type { KonnectivityServerOptions } from '#konnectivity/server/options.ts'
import { KonnectivityServer } from '#konnectivity/server/server.ts'
import type { KonnectivityServerDeps } from '#konnectivity/server/server.ts'

/**
 * `k0s konnectivity-server`: serves until `signal` aborts or a successor takes over, then stops in good order; `now` cuts
 * that short.
 *
 * @throws TunnelListenError or TunnelFileError when it cannot start.
 */
export async function runKonnectivityServer(
  options: KonnectivityServerOptions,
  deps: KonnectivityServerDeps & { readonly signal: AbortSignal; readonly now?: AbortSignal },
): Promise<void> {
  const { signal, now, ...rest } = deps
  const server = new KonnectivityServer(options, rest)
  await server.start()
  if (!signal.aborted) await Promise.race([once(signal, 'abort'), server.handedOver])
  await server.stop(now && { now })
}
