import { watch } from 'node:fs'
import { errorMessage } from '#pkg/errors/error.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** An editor writes a file in several steps; what was written is looked at when it has been quiet for so long. */
const QUIET_MS = 300

/**
 * Calls `onChange` when something in `dir` changed, one call at a time. A directory that cannot be watched is not: its
 * files then apply at the next start. The result ends the watch.
 */
export function watchDirectory(
  dir: string,
  onChange: () => Promise<void>,
  { log }: { readonly log: Logger },
): () => void {
  let timer: NodeJS.Timeout | undefined
  let last: Promise<void> = Promise.resolve()
  const report = (err: unknown): void => log.error('changed files not taken over', { dir, err: errorMessage(err) })
  const changed = (): void => {
    clearTimeout(timer)
    timer = setTimeout(() => {
      last = last.then(onChange).catch(report)
    }, QUIET_MS)
  }
  try {
    const watcher = watch(dir, { persistent: false }, changed)
    watcher.on('error', report)
    return () => {
      clearTimeout(timer)
      watcher.close()
    }
  } catch (err) {
    log.debug('directory not watched', { dir, err: errorMessage(err) })
    return () => undefined
  }
}
