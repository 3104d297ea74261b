import assert from 'node:assert/strict'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import { sharedCluster } from '#inttest/common/shared-cluster.ts'

describe('manifests of a stack on the controller', () => {
  let cluster: Cluster
  let stack: string

  before(async () => {
    cluster = await sharedCluster('isolated')
    stack = cluster.controller.diskPath('/var/lib/k0s/manifests/inttest')
    await mkdir(stack)
  })

  after(async () => {
    await rm(stack, { recursive: true, force: true })
  })

  const write = async (file: string, ...names: readonly string[]): Promise<void> => {
    const objects = names.map(
      (name) =>
        `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${name}, namespace: default }\ndata: { from: ${file} }\n`,
    )
    await writeFile(join(stack, `${file}.yaml`), objects.join('---\n'))
  }

  /** The ConfigMaps of the stack with the file that each came from. */
  const untilApplied = async (expected: Readonly<Record<string, string>>): Promise<void> => {
    await eventually(`exactly ${JSON.stringify(expected)}`, 60_000, async () => {
      const { items } = await cluster.get(['configmaps', '-l', 'k0s.k0sproject.io/stack=inttest'])
      const found = items.map((item: { metadata: { name: string }; data: { from: string } }) => [
        item.metadata.name,
        item.data.from,
      ])
      assert.deepEqual(Object.fromEntries(found), expected)
    })
  }

  it('are applied when their file appears', async () => {
    await write('first', 'one', 'two')
    await write('second', 'three')
    await untilApplied({ one: 'first', two: 'first', three: 'second' })
  })

  it('are pruned when they leave a file, and when the file goes', async () => {
    await write('first', 'one')
    await untilApplied({ one: 'first', three: 'second' })
    await rm(join(stack, 'second.yaml'))
    await untilApplied({ one: 'first' })
  })

  it('stay as they are while a file does not parse', async () => {
    await writeFile(join(stack, 'first.yaml'), 'apiVersion: v1\nkind: [')
    await write('second', 'four')
    await untilApplied({ one: 'first', four: 'second' })
  })

  it('go with their stack', async () => {
    await rm(stack, { recursive: true })
    await untilApplied({})
  })
})
