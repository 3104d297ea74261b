import type { Key, KeyRange, KeyVersion } from '#pkg/kine/backend.ts'
import { Leaf, LEAF_CAPACITY } from '#pkg/kine/index/leaf.ts'
import { ownCopy } from '#pkg/kine/keys.ts'

/** Most children of a branch. */
const MAX_FANOUT = 64
/** Two neighbours that together have at most this many are merged. */
const MERGE_FANOUT = 40

/** `keys[i]` is a lower bound of `children[i + 1]` and above everything in `children[i]`. */
interface Branch {
  readonly leaf: false
  children: Node[]
  keys: Key[]
  count: number
}

type Node = Leaf | Branch

/**
 * Versions by key: a B+ tree whose branches know how many there are below them, so that counting a range costs O(log n)
 * like a look-up. What is handed out is a copy but for the bytes of the key, which are a view that nobody writes to.
 */
export class KeyTree {
  #root: Node = new Leaf()

  get size(): number {
    return this.#root.count
  }

  get(key: Key): KeyVersion | undefined {
    let node = this.#root
    while (!node.leaf) node = childAt(node, childFor(node, key))
    const at = node.find(key)
    return at < 0 ? undefined : node.version(at)
  }

  /** Inserts the version, or replaces the one of the same key. */
  set(version: KeyVersion): void {
    const split = insert(this.#root, version)
    if (split === undefined) return
    const left = this.#root
    this.#root = {
      leaf: false,
      children: [left, split.right],
      keys: [split.key],
      count: left.count + split.right.count,
    }
  }

  delete(key: Key): boolean {
    const removed = remove(this.#root, key)
    const only = this.#root.leaf ? undefined : this.#root.children[0]
    if (!this.#root.leaf && this.#root.children.length === 1 && only !== undefined) this.#root = only
    return removed
  }

  /** Number of versions in the range. */
  count(range: KeyRange): number {
    const { start, end } = range
    if (end === undefined) return this.get(start) === undefined ? 0 : 1
    const upper = end.length === 0 ? this.size : this.#rank(end)
    return Math.max(0, upper - this.#rank(start))
  }

  /** Calls `visit` for the versions of the range in key order until it returns false. */
  scan(range: KeyRange, visit: (version: KeyVersion) => boolean): void {
    const { start, end } = range
    if (end === undefined) {
      const version = this.get(start)
      if (version !== undefined) visit(version)
      return
    }
    scanNode(this.#root, start, end.length === 0 ? undefined : end, visit)
  }

  /** The versions of the range in key order, at most `limit` of them (0: all). */
  list(range: KeyRange, limit = 0): KeyVersion[] {
    const versions: KeyVersion[] = []
    this.scan(range, (version) => versions.push(version) !== limit)
    return versions
  }

  /** Number of versions below `key`. */
  #rank(key: Key): number {
    let node = this.#root
    let rank = 0
    while (!node.leaf) {
      const at = childFor(node, key)
      for (let i = 0; i < at; i += 1) rank += childAt(node, i).count
      node = childAt(node, at)
    }
    return rank + lowerBound(node, key)
  }
}

function childAt(branch: Branch, at: number): Node {
  const child = branch.children[at]
  if (child === undefined) throw new RangeError('key tree is damaged')
  return child
}

/** Position of the first version whose key is not below `key`. */
function lowerBound(leaf: Leaf, key: Key): number {
  const at = leaf.find(key)
  return at < 0 ? -1 - at : at
}

/** Position of the child that holds `key`: the number of separators not above it. */
function childFor(branch: Branch, key: Key): number {
  let low = 0
  let high = branch.keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const separator = branch.keys[middle]
    if (separator !== undefined && separator.compare(key) <= 0) low = middle + 1
    else high = middle
  }
  return low
}

interface Split {
  readonly key: Key
  readonly right: Node
}

function insert(node: Node, version: KeyVersion): Split | undefined {
  if (node.leaf) return insertIntoLeaf(node, version)
  const at = childFor(node, version.key)
  const child = childAt(node, at)
  const before = child.count
  const split = insert(child, version)
  if (split === undefined) {
    node.count += child.count - before
    return undefined
  }
  node.count += child.count + split.right.count - before
  node.children.splice(at + 1, 0, split.right)
  node.keys.splice(at, 0, split.key)
  return node.children.length > MAX_FANOUT ? splitBranch(node) : undefined
}

function insertIntoLeaf(leaf: Leaf, version: KeyVersion): Split | undefined {
  const found = leaf.find(version.key)
  if (found >= 0) {
    leaf.replace(found, version)
    return undefined
  }
  const at = -1 - found
  if (leaf.count < LEAF_CAPACITY) {
    leaf.insert(at, version)
    return undefined
  }
  // Keys that arrive in order (events, a restored store) would leave half-empty leaves behind: split at the end then.
  const middle = at === leaf.count ? at : leaf.count >>> 1
  const right = leaf.split(middle)
  if (at < middle) leaf.insert(at, version)
  else right.insert(at - middle, version)
  return { key: ownCopy(right.key(0)), right }
}

function splitBranch(branch: Branch): Split | undefined {
  const middle = branch.children.length >>> 1
  const children = branch.children.splice(middle)
  const keys = branch.keys.splice(middle)
  const key = branch.keys.pop()
  const moved = children.reduce((sum, { count }) => sum + count, 0)
  branch.count -= moved
  return key && { key, right: { leaf: false, children, keys, count: moved } }
}

function remove(node: Node, key: Key): boolean {
  if (node.leaf) {
    const at = node.find(key)
    if (at < 0) return false
    node.remove(at)
    return true
  }
  const at = childFor(node, key)
  const removed = remove(childAt(node, at), key)
  if (!removed) return false
  node.count -= 1
  mergeAround(node, at)
  return true
}

/** Keeps removal from leaving a chain of nearly empty nodes. */
function mergeAround(parent: Branch, at: number): void {
  const left = at > 0 ? at - 1 : at
  const a = parent.children[left]
  const b = parent.children[left + 1]
  const separator = parent.keys[left]
  if (a === undefined || b === undefined || separator === undefined) return
  if (a.leaf && b.leaf) {
    if (a.count + b.count > MERGE_FANOUT) return
    a.append(b)
  } else if (!a.leaf && !b.leaf) {
    if (a.children.length + b.children.length > MERGE_FANOUT) return
    a.children.push(...b.children)
    a.keys.push(separator, ...b.keys)
    a.count += b.count
  } else return
  parent.children.splice(left + 1, 1)
  parent.keys.splice(left, 1)
}

/** False once `visit` has asked to stop or the range has ended. */
function scanNode(
  node: Node,
  start: Key | undefined,
  end: Key | undefined,
  visit: (version: KeyVersion) => boolean,
): boolean {
  if (node.leaf) {
    const stop = end === undefined ? node.count : lowerBound(node, end)
    for (let i = start === undefined ? 0 : lowerBound(node, start); i < stop; i += 1) {
      if (!visit(node.version(i))) return false
    }
    return stop === node.count
  }
  const first = start === undefined ? 0 : childFor(node, start)
  for (let i = first; i < node.children.length; i += 1) {
    if (!scanNode(childAt(node, i), i === first ? start : undefined, end, visit)) return false
  }
  return true
}
