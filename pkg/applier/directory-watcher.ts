import { watch, type FSWatcher } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Notices changes in a directory and in the directories right below it. Says only that something changed: whoever asks
 * reads everything again, so that a lost or merged event does no harm.
 */
export class DirectoryWatcher {
  readonly #root: string
  readonly #watchers = new Map<string, FSWatcher>()
  #changes = 0
  #wake: (() => void) | undefined

  constructor(root: string) {
    this.#root = root
  }

  /** Counts up with every change. */
  get changes(): number {
    return this.#changes
  }

  /** Watches the directories that are there now; call it before every reading, so that none is missed. */
  async refresh(): Promise<void> {
    const entries = await readdir(this.#root, { withFileTypes: true })
    const folders = entries.filter((entry) => !entry.isFile()).map(({ name }) => join(this.#root, name))
    const wanted = new Set([this.#root, ...folders])
    for (const [path, watcher] of this.#watchers) {
      if (wanted.has(path)) continue
      watcher.close()
      this.#watchers.delete(path)
    }
    for (const path of wanted) this.#watch(path)
  }

  /** Resolves after the next change, or `timeoutMs`, or when `signal` aborts; at once if `since` is out of date. */
  async changed(since: number, timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (this.#changes !== since || signal.aborted) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        this.#wake = undefined
        resolve()
      }
      const timer = setTimeout(done, timeoutMs)
      signal.addEventListener('abort', done, { once: true })
      this.#wake = done
    })
  }

  /** Resolves once nothing has changed for `quietMs`: a file that is being copied is read when it is whole. */
  async settled(quietMs: number, signal: AbortSignal): Promise<void> {
    for (let seen = -1; seen !== this.#changes && !signal.aborted;) {
      seen = this.#changes
      await this.changed(seen, quietMs, signal)
    }
  }

  close(): void {
    for (const watcher of this.#watchers.values()) watcher.close()
    this.#watchers.clear()
  }

  #watch(path: string): void {
    if (this.#watchers.has(path)) return
    try {
      const watcher = watch(path, { persistent: false }, () => this.#noteChange())
      watcher.on('error', () => this.#forget(path))
      this.#watchers.set(path, watcher)
    } catch {
      // A file, or gone meanwhile; without inotify watches left, the regular reading still finds changes.
    }
  }

  #forget(path: string): void {
    this.#watchers.get(path)?.close()
    this.#watchers.delete(path)
    this.#noteChange()
  }

  #noteChange(): void {
    this.#changes += 1
    this.#wake?.()
  }
}
