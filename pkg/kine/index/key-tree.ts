import type { Key, KeyRange } from '#pkg/kine/backend.ts'

/** Most items of a leaf and children of a branch. */
const MAX_FANOUT = 64
/** Two neighbours that together have at most this many are merged. */
const MERGE_FANOUT = 40

interface Keyed {
  readonly key: Key
}

interface Leaf<T> {
  readonly leaf: true
  items: T[]
}

/** `keys[i]` is a lower bound of `children[i + 1]` and above everything in `children[i]`. */
interface Branch<T> {
  readonly leaf: false
  children: Node<T>[]
  keys: Key[]
  count: number
}

type Node<T> = Leaf<T> | Branch<T>

/**
 * Ordered map over byte keys: a B+ tree whose branches know how many items are below them, so that counting a range
 * costs O(log n) like a look-up. Iteration is a snapshot only as long as the caller does not await.
 */
export class KeyTree<T extends Keyed> {
  #root: Node<T> = { leaf: true, items: [] }

  get size(): number {
    return countOf(this.#root)
  }

  get(key: Key): T | undefined {
    let node = this.#root
    while (!node.leaf) node = childAt(node, childFor(node, key))
    const at = lowerBound(node.items, key)
    const item = node.items[at]
    return item?.key.equals(key) === true ? item : undefined
  }

  /** Inserts `item`, or replaces the one with the same key. */
  set(item: T): void {
    const split = insert(this.#root, item)
    if (split === undefined) return
    const left = this.#root
    this.#root = {
      leaf: false,
      children: [left, split.right],
      keys: [split.key],
      count: countOf(left) + countOf(split.right),
    }
  }

  delete(key: Key): boolean {
    const removed = remove(this.#root, key)
    const only = this.#root.leaf ? undefined : this.#root.children[0]
    if (!this.#root.leaf && this.#root.children.length === 1 && only !== undefined) this.#root = only
    return removed
  }

  /** Number of items in the range. */
  count(range: KeyRange): number {
    const { start, end } = range
    if (end === undefined) return this.get(start) === undefined ? 0 : 1
    const upper = end.length === 0 ? this.size : this.#rank(end)
    return Math.max(0, upper - this.#rank(start))
  }

  /** Calls `visit` for the items of the range in key order until it returns false. */
  scan(range: KeyRange, visit: (item: T) => boolean): void {
    const { start, end } = range
    if (end === undefined) {
      const item = this.get(start)
      if (item !== undefined) visit(item)
      return
    }
    scanNode(this.#root, start, end.length === 0 ? undefined : end, visit)
  }

  /** The items of the range in key order, at most `limit` of them (0: all). */
  list(range: KeyRange, limit = 0): T[] {
    const items: T[] = []
    this.scan(range, (item) => items.push(item) !== limit)
    return items
  }

  /** Number of items below `key`. */
  #rank(key: Key): number {
    let node = this.#root
    let rank = 0
    while (!node.leaf) {
      const at = childFor(node, key)
      for (let i = 0; i < at; i += 1) rank += countOf(childAt(node, i))
      node = childAt(node, at)
    }
    return rank + lowerBound(node.items, key)
  }
}

function countOf(node: Node<unknown>): number {
  return node.leaf ? node.items.length : node.count
}

function childAt<T>(branch: Branch<T>, at: number): Node<T> {
  const child = branch.children[at]
  if (child === undefined) throw new RangeError('key tree is damaged')
  return child
}

/** Position of the first item whose key is not below `key`. */
function lowerBound(items: readonly Keyed[], key: Key): number {
  let low = 0
  let high = items.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const item = items[middle]
    if (item !== undefined && item.key.compare(key) < 0) low = middle + 1
    else high = middle
  }
  return low
}

/** Position of the child that holds `key`: the number of separators not above it. */
function childFor<T>(branch: Branch<T>, key: Key): number {
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

interface Split<T> {
  readonly key: Key
  readonly right: Node<T>
}

function insert<T extends Keyed>(node: Node<T>, item: T): Split<T> | undefined {
  if (node.leaf) return insertIntoLeaf(node, item)
  const at = childFor(node, item.key)
  const child = childAt(node, at)
  const before = countOf(child)
  const split = insert(child, item)
  if (split === undefined) {
    node.count += countOf(child) - before
    return undefined
  }
  node.count += countOf(child) + countOf(split.right) - before
  node.children.splice(at + 1, 0, split.right)
  node.keys.splice(at, 0, split.key)
  return node.children.length > MAX_FANOUT ? splitBranch(node) : undefined
}

function insertIntoLeaf<T extends Keyed>(leaf: Leaf<T>, item: T): Split<T> | undefined {
  const at = lowerBound(leaf.items, item.key)
  if (leaf.items[at]?.key.equals(item.key) === true) {
    leaf.items[at] = item
    return undefined
  }
  leaf.items.splice(at, 0, item)
  if (leaf.items.length <= MAX_FANOUT) return undefined
  // Keys that arrive in order (events, a restored store) would leave half-empty leaves behind: split at the end then.
  const middle = at === leaf.items.length - 1 ? at : leaf.items.length >>> 1
  const right: Leaf<T> = { leaf: true, items: leaf.items.splice(middle) }
  const first = right.items[0]
  return first && { key: first.key, right }
}

function splitBranch<T>(branch: Branch<T>): Split<T> | undefined {
  const middle = branch.children.length >>> 1
  const children = branch.children.splice(middle)
  const keys = branch.keys.splice(middle)
  const key = branch.keys.pop()
  const moved = children.reduce((sum, child) => sum + countOf(child), 0)
  branch.count -= moved
  return key && { key, right: { leaf: false, children, keys, count: moved } }
}

function remove<T extends Keyed>(node: Node<T>, key: Key): boolean {
  if (node.leaf) {
    const at = lowerBound(node.items, key)
    if (node.items[at]?.key.equals(key) !== true) return false
    node.items.splice(at, 1)
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
function mergeAround<T>(parent: Branch<T>, at: number): void {
  const left = at > 0 ? at - 1 : at
  const a = parent.children[left]
  const b = parent.children[left + 1]
  const separator = parent.keys[left]
  if (a === undefined || b === undefined || separator === undefined) return
  if (a.leaf && b.leaf) {
    if (a.items.length + b.items.length > MERGE_FANOUT) return
    a.items.push(...b.items)
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
function scanNode<T extends Keyed>(
  node: Node<T>,
  start: Key | undefined,
  end: Key | undefined,
  visit: (item: T) => boolean,
): boolean {
  if (node.leaf) {
    for (let i = start === undefined ? 0 : lowerBound(node.items, start); i < node.items.length; i += 1) {
      const item = node.items[i]
      if (item === undefined) return false
      if (end !== undefined && item.key.compare(end) >= 0) return false
      if (!visit(item)) return false
    }
    return true
  }
  const first = start === undefined ? 0 : childFor(node, start)
  for (let i = first; i < node.children.length; i += 1) {
    if (!scanNode(childAt(node, i), i === first ? start : undefined, end, visit)) return false
  }
  return true
}
