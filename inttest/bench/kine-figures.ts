import type { LoadKind, LoadOptions, LoadResult } from '#inttest/bench/kine-load.ts'

/** One figure of a load, and what it is to hold against whom. */
export interface Figure {
  readonly name: string
  readonly of: (result: LoadResult) => number
  readonly unit: string
  readonly better: 'higher' | 'lower'
  /** Least (or, where lower is better, greatest) ratio to a peer. */
  readonly ratios?: Readonly<Partial<Record<string, number>>>
  /** Least or greatest figure by itself. */
  readonly limit?: number
}

/** One load, run against every server in turn. */
export interface Scenario {
  readonly name: string
  readonly kind: LoadKind
  readonly options: LoadOptions
  readonly figures: readonly Figure[]
}

const perSecond = (unit: string, ratios: Figure['ratios'] = {}): Figure => ({
  name: 'rate',
  of: (result) => result.perSecond,
  unit,
  better: 'higher',
  ratios,
})
const p50: Figure = { name: 'p50', of: (result) => result.p50, unit: 'ms', better: 'lower' }
const p99: Figure = { name: 'p99', of: (result) => result.p99, unit: 'ms', better: 'lower' }

/** Writes. `least`: the ratio to upstream kine on the same database; `p99LimitMs`: of puts at 64 clients. */
export function writeScenarios(least: number, p99LimitMs?: number): readonly Scenario[] {
  const puts = (clients: number, conns: number, ratios: Figure['ratios'], limit?: number): Scenario => ({
    name: `put, ${String(clients)} clients on ${String(conns)} connections`,
    kind: 'put',
    options: { clients, conns, valueSize: 512 },
    figures: [perSecond('/s', ratios), p50, { ...p99, ...(limit !== undefined && { limit }) }],
  })
  const targets = { 'upstream kine': least, etcd: 0.6 }
  return [
    puts(1, 1, {}),
    // kube-apiserver sends all requests for a resource over one connection.
    puts(16, 4, targets),
    puts(64, 16, targets, p99LimitMs),
    // The load generator then takes as much of the machine as the server.
    puts(64, 64, targets, p99LimitMs),
    {
      name: 'create/update/delete mix, 16 clients on 4 connections, a watch',
      kind: 'mix',
      options: { clients: 16, conns: 4, valueSize: 512 },
      figures: [perSecond('/s'), p50, p99],
    },
  ]
}

/** Reads of a store with many keys, and watches. */
export function readScenarios(keys: number): readonly Scenario[] {
  const reads = { 'upstream kine': 1.5 }
  const watch = (watchers: number, rate: number): Scenario => ({
    name: `watch, ${String(watchers)} watchers, ${String(rate)} writes/s, age of an event`,
    kind: 'watch',
    options: { watchers, rate, valueSize: 512 },
    figures: [p50, p99, { name: 'events', of: (result) => result.delivered ?? 0, unit: 'delivered', better: 'higher' }],
  })
  return [
    {
      name: 'linearizable get, 64 clients on 16 connections',
      kind: 'get',
      options: { clients: 64, conns: 16, keys },
      figures: [perSecond('/s', reads), p50, p99],
    },
    {
      name: `limit=1 probe over ${String(keys)} keys, 16 clients on 4 connections`,
      kind: 'probe',
      options: { clients: 16, conns: 4, keys },
      figures: [perSecond('/s', reads), p50, p99],
    },
    {
      name: `500-key pages of ${String(keys)} keys, 4 clients`,
      kind: 'list',
      options: { clients: 4, keys },
      figures: [perSecond('pages/s', reads), p50, p99],
    },
    watch(1, 400),
    watch(100, 50),
    watch(1000, 10),
  ]
}

/** Outcome of all lines, told at the end. */
export const tally: { held: number; missed: number } = { held: 0, missed: 0 }

/** The line every benchmark prints: `NAME: ours X unit, peer Y unit, ratio R, target T, held|missed`. */
export function report(
  name: string,
  figure: Figure,
  measured: { readonly ours: number; readonly peer?: { readonly name: string; readonly value: number } },
): void {
  const { unit, better, ratios, limit } = figure
  const { ours, peer } = measured
  const text = (value: number): string => `${value.toFixed(value < 100 ? 2 : 0)} ${unit}`
  const ratio = peer === undefined ? undefined : ours / peer.value
  const least = peer === undefined ? undefined : ratios?.[peer.name]
  const target = peer === undefined ? limit : least
  const reached = peer === undefined ? ours : ratio
  const sign = better === 'higher' ? '>=' : '<='
  const held =
    target === undefined || reached === undefined
      ? undefined
      : better === 'higher'
        ? reached >= target
        : reached <= target
  if (held !== undefined) tally[held ? 'held' : 'missed'] += 1
  const parts = [
    `${name}: ours ${text(ours)}`,
    ...(peer === undefined ? [] : [`${peer.name} ${text(peer.value)}`, `ratio ${(ratio ?? 0).toFixed(2)}`]),
    held === undefined ? 'no target' : `target ${sign} ${String(target)}, ${held ? 'held' : 'missed'}`,
  ]
  console.log(parts.join(', '))
}
