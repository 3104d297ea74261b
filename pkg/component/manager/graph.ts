import type { Component } from '#pkg/component/component.ts'
import { ComponentGraphError } from '#pkg/component/manager/errors.ts'

/** What the graph needs of a component. */
export type GraphNode = Pick<Component, 'name' | 'after'>

/** A component's place in the graph, as `--dry-run` prints it. */
export interface GraphEntry {
  readonly name: string
  readonly after: readonly string[]
  /** 1 starts at once; n waits for at least one component of step n - 1. */
  readonly step: number
}

/**
 * Checks the graph and returns it in an order in which every component follows what it is `after`.
 *
 * @throws ComponentGraphError for a name used twice, an `after` that names no component, or a cycle.
 */
export function dependencyOrder<T extends GraphNode>(components: readonly T[]): readonly T[] {
  const byName = indexByName(components)
  const ordered = new Set<T>()
  const visit = (component: T, path: readonly string[]): void => {
    if (path.includes(component.name)) {
      const cycle = [...path.slice(path.indexOf(component.name)), component.name]
      throw new ComponentGraphError(`components wait for each other: ${cycle.join(' after ')}`)
    }
    if (ordered.has(component)) return
    for (const name of component.after) {
      const needed = byName.get(name)
      if (!needed) {
        throw new ComponentGraphError(`${component.name} is after ${name}, which is not a component of this node`)
      }
      visit(needed, [...path, component.name])
    }
    ordered.add(component)
  }
  for (const component of components) visit(component, [])
  return [...ordered]
}

/** The graph as data, by step and name. @throws ComponentGraphError */
export function describeGraph(components: readonly GraphNode[]): readonly GraphEntry[] {
  const steps = new Map<string, number>()
  for (const { name, after } of dependencyOrder(components)) {
    steps.set(name, 1 + Math.max(0, ...after.map((needed) => steps.get(needed) ?? 0)))
  }
  return components
    .map(({ name, after }) => ({ name, after: [...after].sort(), step: steps.get(name) ?? 1 }))
    .sort((a, b) => a.step - b.step || a.name.localeCompare(b.name))
}

/** The graph as a table, one component a line. */
export function renderGraph(entries: readonly GraphEntry[]): string {
  const width = Math.max(0, ...entries.map(({ name }) => name.length))
  const line = ({ name, after, step }: GraphEntry): string =>
    `${step}  ${after.length === 0 ? name : `${name.padEnd(width)}  after ${after.join(', ')}`}`
  return `${entries.map(line).join('\n')}\n`
}

function indexByName<T extends GraphNode>(components: readonly T[]): ReadonlyMap<string, T> {
  const byName = new Map<string, T>()
  for (const component of components) {
    if (byName.has(component.name)) throw new ComponentGraphError(`there are two components named ${component.name}`)
    byName.set(component.name, component)
  }
  return byName
}
