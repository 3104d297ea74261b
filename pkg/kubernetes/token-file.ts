import { readFile } from 'node:fs/promises'

/** The kubelet renews a projected token long before its end; client-go reads it again as often. */
const READ_EVERY_MS = 60_000

/**
 * The bearer token in a file that is renewed under its reader: read again a minute after it was read last, or after `everyMs`.
 * What was read last stays while the file cannot be read.
 *
 * @returns asked for at each request; rejects when there has been no token yet
 */
export function tokenFile(path: string, { everyMs = READ_EVERY_MS }: { readonly everyMs?: number } = {}) {
  let token: string | undefined
  let readAt = -Infinity
  return async (): Promise<string> => {
    if (token !== undefined && performance.now() - readAt < everyMs) return token
    try {
      token = (await readFile(path, 'utf8')).trim()
      readAt = performance.now()
    } catch (error) {
      if (token === undefined) throw error
    }
    return token
  }
}
