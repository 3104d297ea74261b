import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoCode } from '#pkg/errors/error.ts'

/** A drop-in, and why it cannot be used if it cannot. */
export interface DropIn {
  readonly path: string
  readonly text: string
  readonly refused?: string
}

/** The `*.toml` files of `dir` in the order in which containerd merges them. A missing directory has none. */
export async function readDropIns(dir: string): Promise<readonly DropIn[]> {
  const names = await readdir(dir).catch((err: unknown) => {
    if (errnoCode(err) === 'ENOENT') return []
    throw err
  })
  const paths = names
    .filter((name) => name.endsWith('.toml'))
    .sort()
    .map((name) => join(dir, name))
  return await Promise.all(
    paths.map(async (path) => {
      const text = await readFile(path, 'utf8')
      const refused = refuseDropIn(text)
      return refused === undefined ? { path, text } : { path, text, refused }
    }),
  )
}

/**
 * Why containerd 2 would not do with this snippet what its author meant, or undefined. containerd itself reads version
 * 2 snippets without a complaint and then ignores what moved to other plugins; syntax is its own to judge.
 */
export function refuseDropIn(toml: string): string | undefined {
  const body = toml
    .split('\n')
    .filter((line) => !/^\s*#/.test(line))
    .join('\n')
  const version = /^\s*version\s*=\s*(\S+)/m.exec(body.split(/^\s*\[/m)[0] ?? '')?.[1]
  if (version !== undefined && version !== '3')
    return `it has configuration version ${version}, containerd 2 needs version = 3`
  const oldPlugin = oldPlugins.find(({ id }) =>
    new RegExp(`^\\s*\\[\\s*plugins\\s*\\.\\s*["']${escape(id)}["']`, 'm').test(body),
  )
  if (oldPlugin === undefined) return undefined
  return `it configures ${oldPlugin.id} in the way of version 2; since version 3 that is ${oldPlugin.now}`
}

/** Plugin ids whose settings moved between versions 2 and 3 (containerd docs/cri/config.md). */
const oldPlugins = [
  { id: 'io.containerd.grpc.v1.cri', now: 'io.containerd.cri.v1.runtime and io.containerd.cri.v1.images' },
  { id: 'io.containerd.runtime.v1.linux', now: 'io.containerd.runtime.v2.task' },
]

function escape(text: string): string {
  return text.replaceAll('.', '\\.')
}
