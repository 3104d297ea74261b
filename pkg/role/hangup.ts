import type { Component } from '#pkg/component/component.ts'
import { isTunnelServer } from '#pkg/component/controller/konnectivity-server.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Calls `listener` at each SIGHUP until the result is called. */
export type OnHangup = (listener: () => void) => () => void

/**
 * SIGHUP to a controller: its tunnel server is restarted in the way that refuses no dial (docs/adr/0009). One at a time;
 * signals during a restart are one more after it.
 */
export function replaceOnHangup(
  components: readonly Component[],
  { onHangup, log }: { readonly onHangup: OnHangup; readonly log: Logger },
): Disposable {
  const server = components.find(isTunnelServer)
  let running = false
  let again = false
  const replace = async (): Promise<void> => {
    if (server === undefined) {
      log.warn('SIGHUP without effect: no tunnel server runs here')
      return
    }
    again = running
    if (running) return
    running = true
    do {
      again = false
      log.info('SIGHUP: replacing the tunnel server')
      try {
        await server.replace()
        log.info('tunnel server replaced')
      } catch (err) {
        log.error('tunnel server not replaced, the one before goes on', { err })
      }
    } while (isWanted())
    running = false
  }
  const isWanted = (): boolean => again // a call: a read would stay narrowed across the await
  const unsubscribe = onHangup(() => void replace())
  return { [Symbol.dispose]: unsubscribe }
}
