import assert from 'node:assert/strict'
import { dependencyOrder, describeGraph, renderGraph, type GraphNode } from '#pkg/component/manager/graph.ts'

const node = (name: string, ...after: string[]): GraphNode => ({ name, after })
const controller = [
  node('kube-scheduler', 'kube-apiserver'),
  node('kube-apiserver', 'konnectivity-server', 'etcd'),
  node('konnectivity-server', 'certificates'),
  node('etcd', 'certificates'),
  node('certificates'),
]

describe('graph', () => {
  it('orders every component behind what it is after', () => {
    assert.deepEqual(
      dependencyOrder(controller).map(({ name }) => name),
      ['certificates', 'konnectivity-server', 'etcd', 'kube-apiserver', 'kube-scheduler'],
    )
  })

  it('prints steps', () => {
    const expected = [
      '1  certificates',
      '2  etcd                 after certificates',
      '2  konnectivity-server  after certificates',
      '3  kube-apiserver       after etcd, konnectivity-server',
      '4  kube-scheduler       after kube-apiserver',
      '',
    ]
    assert.equal(renderGraph(describeGraph(controller)), expected.join('\n'))
  })

  const faults: readonly (readonly [GraphNode[], string])[] = [
    [[node('a', 'b')], 'a is after b, which is not a component of this node'],
    [[node('a'), node('a')], 'there are two components named a'],
    [[node('a', 'a')], 'components wait for each other: a after a'],
    [
      [node('x'), node('a', 'x', 'b'), node('b', 'c'), node('c', 'a')],
      'components wait for each other: a after b after c after a',
    ],
  ]
  for (const [components, message] of faults) {
    it(`refuses: ${message}`, () =>
      assert.throws(() => dependencyOrder(components), { code: 'ERR_COMPONENT_GRAPH', message }))
  }
})
