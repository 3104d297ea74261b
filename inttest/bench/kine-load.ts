import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { checkout } from '#inttest/common/names.ts'

const program = join(checkout, 'embedded-bins', 'staging', 'bench-bin', 'bench-load')

/** Kinds of load of embedded-bins/bench/load. */
export type LoadKind = 'put' | 'mix' | 'fill' | 'get' | 'probe' | 'list' | 'watch' | 'stall' | 'rate' | 'biglist'

/** Flags of the load generator; milliseconds and bytes where a unit is needed. */
export interface LoadOptions {
  readonly clients?: number
  readonly conns?: number
  readonly seconds?: number
  readonly keys?: number
  readonly valueSize?: number
  readonly watchers?: number
  readonly rate?: number
  readonly prefix?: string
  /** Another server of the same store, for the watches. */
  readonly watchEndpoint?: string
}

/** Latencies, milliseconds. */
export interface Latencies {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** What a load measured. */
export interface LoadResult extends Latencies {
  readonly perSecond: number
  readonly delivered?: number
  readonly expected?: number
  readonly written?: number
  /** What a stalled watch got in the end. */
  readonly outcome?: string
  /** Ages of the events of the watch that was read beside it. */
  readonly others?: Latencies
  /** How often the whole list was read. */
  readonly lists?: number
  /** Each answer of `rate`: its time, as of Date.now(), and what it took. */
  readonly samples?: readonly (readonly [at: number, tookMs: number])[]
}

/** Runs one load against a server to its end. */
export async function load(
  server: { readonly name: string; readonly endpoint: string },
  kind: LoadKind,
  options: LoadOptions,
): Promise<LoadResult> {
  const child = spawn(program, [kind, ...flags(server.endpoint, options)], { stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = once(child, 'exit')
  const [output, errors] = await Promise.all([child.stdout.toArray(), child.stderr.toArray()])
  const [code] = (await exited) as [number | null]
  if (code !== 0) throw new Error(`${kind} against ${server.name}: ${Buffer.concat(errors).toString().trim()}`)
  return JSON.parse(Buffer.concat(output).toString()) as LoadResult
}

/** Runs `work` while as many idle clients with a watch each are connected. */
export async function withSessions<T>(endpoint: string, clients: number, work: () => Promise<T>): Promise<T> {
  const child = spawn(program, ['sessions', ...flags(endpoint, { clients })], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  try {
    const ready = once(createInterface({ input: child.stdout }), 'line')
    await Promise.race([
      ready,
      exited.then(() => {
        throw new Error(`the ${String(clients)} sessions to ${endpoint} ended`)
      }),
    ])
    return await work()
  } finally {
    child.stdin.end()
    await exited
  }
}

function flags(endpoint: string, options: LoadOptions): string[] {
  const { seconds, valueSize, watchEndpoint, ...same } = options
  const named = {
    endpoint,
    ...same,
    ...(seconds !== undefined && { duration: `${String(seconds)}s` }),
    ...(valueSize !== undefined && { 'value-size': valueSize }),
    ...(watchEndpoint !== undefined && { 'watch-endpoint': watchEndpoint }),
  }
  return Object.entries(named).map(([name, value]) => `-${name}=${String(value)}`)
}
