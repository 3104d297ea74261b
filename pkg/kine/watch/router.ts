import type { Key, KeyRange } from '#pkg/kine/backend.ts'
import { identity, inRange } from '#pkg/kine/keys.ts'

/** Something that wants the events of a range. */
export interface Routed {
  readonly range: KeyRange
}

const SLASH = 0x2f

/**
 * Finds the watchers of a key without asking each of them. Kubernetes watches single keys and prefixes that end in a
 * slash: both are map look-ups, one for each slash of the key. Other ranges are compared one by one.
 */
export class Router<W extends Routed> {
  readonly #exact = new Map<string, Set<W>>()
  readonly #prefixes = new Map<string, Set<W>>()
  readonly #others = new Set<W>()

  add(watcher: W): void {
    const { map, name } = this.#place(watcher.range)
    if (map === undefined) {
      this.#others.add(watcher)
      return
    }
    const set = map.get(name)
    if (set === undefined) map.set(name, new Set([watcher]))
    else set.add(watcher)
  }

  delete(watcher: W): void {
    const { map, name } = this.#place(watcher.range)
    if (map === undefined) {
      this.#others.delete(watcher)
      return
    }
    const set = map.get(name)
    set?.delete(watcher)
    if (set?.size === 0) map.delete(name)
  }

  /** Calls `visit` for every watcher whose range holds `key`, until it returns false. */
  match(key: Key, visit: (watcher: W) => boolean): void {
    const name = identity(key)
    if (!visitAll(this.#exact.get(name), visit)) return
    if (this.#prefixes.size > 0) {
      for (let at = key.indexOf(SLASH); at >= 0; at = key.indexOf(SLASH, at + 1)) {
        if (!visitAll(this.#prefixes.get(name.slice(0, at + 1)), visit)) return
      }
    }
    for (const watcher of this.#others) if (inRange(key, watcher.range) && !visit(watcher)) return
  }

  #place({ start, end }: KeyRange): { readonly map: Map<string, Set<W>> | undefined; readonly name: string } {
    const name = identity(start)
    if (end === undefined) return { map: this.#exact, name }
    return { map: isSlashPrefix(start, end) ? this.#prefixes : undefined, name }
  }
}

/** `end` is the end of the prefix `start`, which ends in a slash. */
function isSlashPrefix(start: Key, end: Key): boolean {
  const last = start.length - 1
  return (
    start[last] === SLASH &&
    end.length === start.length &&
    end[last] === SLASH + 1 &&
    start.compare(end, 0, last, 0, last) === 0
  )
}

function visitAll<W>(watchers: Set<W> | undefined, visit: (watcher: W) => boolean): boolean {
  if (watchers === undefined) return true
  for (const watcher of watchers) if (!visit(watcher)) return false
  return true
}
