import assert from 'node:assert/strict'
import { describe, it } from 'mocha'
import { PatchError } from '#pkg/patch/error.ts'
import type { Json, JsonObject } from '#pkg/patch/json.ts'
import { applyJsonPatch, parseJsonPatch } from '#pkg/patch/json-patch.ts'
import { mergePatch } from '#pkg/patch/merge-patch.ts'
import { applyPatch, parsePatch, type PatchSpec } from '#pkg/patch/patch.ts'

const refusal = (message: string): ((err: unknown) => boolean) => {
  return (err) => {
    assert.ok(err instanceof PatchError, String(err))
    assert.equal(err.message, message)
    return true
  }
}

describe('JSON patch', () => {
  const apply = (document: Json, ...operations: JsonObject[]): Json =>
    applyJsonPatch(document, parseJsonPatch(operations))

  // The examples of RFC 6902, appendix A.
  for (const [what, document, operations, expected] of [
    ['adds a member', { foo: 'bar' }, [{ op: 'add', path: '/baz', value: 'q' }], { foo: 'bar', baz: 'q' }],
    ['adds an item', { foo: ['a', 'c'] }, [{ op: 'add', path: '/foo/1', value: 'b' }], { foo: ['a', 'b', 'c'] }],
    ['appends an item', { foo: ['a'] }, [{ op: 'add', path: '/foo/-', value: ['b'] }], { foo: ['a', ['b']] }],
    ['removes a member', { a: 1, b: 2 }, [{ op: 'remove', path: '/a' }], { b: 2 }],
    ['removes an item', { foo: [1, 2, 3] }, [{ op: 'remove', path: '/foo/1' }], { foo: [1, 3] }],
    ['replaces', { a: { b: 1 } }, [{ op: 'replace', path: '/a/b', value: null }], { a: { b: null } }],
    ['moves', { a: { b: 1 }, c: {} }, [{ op: 'move', from: '/a/b', path: '/c/d' }], { a: {}, c: { d: 1 } }],
    ['moves an item', { l: [1, 2, 3] }, [{ op: 'move', from: '/l/0', path: '/l/2' }], { l: [2, 3, 1] }],
    ['copies', { a: [1] }, [{ op: 'copy', from: '/a', path: '/b' }], { a: [1], b: [1] }],
    ['tests', { a: [1, { b: 2 }] }, [{ op: 'test', path: '/a', value: [1, { b: 2 }] }], { a: [1, { b: 2 }] }],
    ['escapes', { '/': 9, '~1': 10 }, [{ op: 'replace', path: '/~01', value: 1 }], { '/': 9, '~1': 1 }],
    ['replaces the whole', { a: 1 }, [{ op: 'add', path: '', value: { b: 2 } }], { b: 2 }],
  ] as readonly (readonly [string, Json, JsonObject[], Json])[]) {
    it(what, () => {
      assert.deepEqual(apply(document, ...operations), expected)
    })
  }

  it('leaves the document as it was', () => {
    const document = { a: [{ b: 1 }] }
    assert.deepEqual(apply(document, { op: 'replace', path: '/a/0/b', value: 2 }), { a: [{ b: 2 }] })
    assert.deepEqual(document, { a: [{ b: 1 }] })
  })

  for (const [operation, message] of [
    [{ op: 'replace', path: '/x', value: 1 }, 'operation 1: there is no /x'],
    [{ op: 'add', path: '/x/y', value: 1 }, 'operation 1: there is no /x/y'],
    [{ op: 'add', path: '/l/5', value: 1 }, 'operation 1: there is no /l/5'],
    [{ op: 'remove', path: '/l/01' }, 'operation 1: there is no /l/01'],
    [{ op: 'remove', path: '/constructor' }, 'operation 1: there is no /constructor'],
    [{ op: 'test', path: '/l/0', value: 2 }, 'operation 1: /l/0 is not 2'],
    [{ op: 'move', from: '/l', path: '/l/0' }, 'operation 1: /l cannot be moved into itself'],
    [{ op: 'add', path: 'x', value: 1 }, 'operation 1: the path "x" does not begin with /'],
    [{ op: 'add', path: '/a~2', value: 1 }, 'operation 1: the path "/a~2" has a ~ that is not ~0 or ~1'],
    [{ op: 'add', path: '/x' }, 'operation 1: add needs a value'],
    [{ op: 'copy', path: '/x' }, 'operation 1: from is required and must be a string'],
    [{ op: 'merge', path: '/x' }, 'operation 1: op must be one of add, remove, replace, move, copy, test'],
  ] as readonly (readonly [JsonObject, string])[]) {
    it(`refuses ${JSON.stringify(operation)}`, () => {
      assert.throws(() => apply({ l: [1] }, operation), refusal(message))
    })
  }
})

describe('merge patch', () => {
  // RFC 7386, appendix A.
  for (const [target, patch, expected] of [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'foo' }, null, null],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ] as readonly (readonly [Json, Json, Json])[]) {
    it(`${JSON.stringify(target)} with ${JSON.stringify(patch)}`, () => {
      assert.deepEqual(mergePatch(target, patch), expected)
    })
  }
})

describe('strategic merge patch', () => {
  const deployment = (containers: readonly JsonObject[], more: JsonObject = {}): JsonObject => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'd', finalizers: ['a'] },
    spec: { template: { spec: { containers, ...more } } },
  })
  const a = { name: 'a', image: 'a:1', args: ['-x'], env: [{ name: 'E', value: '1' }] }
  const b = { name: 'b', image: 'b:1' }

  const patched = (content: string, object = deployment([a, b])): JsonObject =>
    applyPatch(object, parsePatch({ type: 'StrategicMergePatch', content }))
  const podOf = (content: string, object?: JsonObject): JsonObject => {
    const { spec } = patched(content, object) as { spec: { template: { spec: JsonObject } } }
    return spec.template.spec
  }
  const pod = (containers: string): string => `{spec: {template: {spec: {containers: ${containers}}}}}`

  it('merges items by their key, lists of no key whole, at any depth', () => {
    const { containers } = podOf(pod('[{name: a, args: [-y], env: [{name: F, value: "2"}, {name: E, value: "3"}]}]'))
    const env = [
      { name: 'F', value: '2' },
      { name: 'E', value: '3' },
    ]
    assert.deepEqual(containers, [{ ...a, args: ['-y'], env }, b])
  })

  it('puts a new item first and keeps the order of the others, as kubectl does', () => {
    const names = (content: string): Json => (podOf(content)['containers'] as JsonObject[]).map(({ name }) => name!)
    assert.deepEqual(names(pod('[{name: c}]')), ['c', 'a', 'b'])
    assert.deepEqual(names(pod('[{name: b, image: x}]')), ['a', 'b'])
    assert.deepEqual(names(pod('[{name: b}, {name: c}]')), ['a', 'b', 'c'])
  })

  it('deletes an item, a field, a scalar of a set', () => {
    assert.deepEqual(podOf(pod('[{name: a, $patch: delete}, {name: zz, $patch: delete}]'))['containers'], [b])
    assert.deepEqual(podOf(pod('[{name: a, args: null, env: null}]'))['containers'], [{ name: 'a', image: 'a:1' }, b])
    const removed = patched('{metadata: {$deleteFromPrimitiveList/finalizers: [a], finalizers: [c]}}')
    assert.deepEqual(removed['metadata'], { name: 'd', finalizers: ['c'] })
    assert.deepEqual(patched('{metadata: {finalizers: [a, c]}}')['metadata'], { name: 'd', finalizers: ['a', 'c'] })
  })

  it('replaces a list or an object whole when told so', () => {
    assert.deepEqual(podOf(pod('[{$patch: replace}, {name: c, image: c:1}]'))['containers'], [
      { name: 'c', image: 'c:1' },
    ])
    assert.deepEqual(podOf('{spec: {template: {spec: {$patch: replace, hostNetwork: true}}}}'), { hostNetwork: true })
  })

  it('keeps only the keys that it is told to', () => {
    const object = deployment([b], { volumes: [{ name: 'v', emptyDir: {} }] })
    const content =
      '{spec: {template: {spec: {volumes: [{name: v, $retainKeys: [name, configMap], configMap: {name: m}}]}}}}'
    assert.deepEqual(podOf(content, object)['volumes'], [{ name: 'v', configMap: { name: 'm' } }])
  })

  it('adds what was not there without its directives', () => {
    const content = '{spec: {template: {spec: {volumes: [{name: v, x: null}, {name: w, $patch: delete}]}}}}'
    assert.deepEqual(podOf(content)['volumes'], [{ name: 'v' }])
  })

  it('matches the ports of a Service by number', () => {
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 's' },
      spec: { ports: [{ name: 'dns', port: 53 }] },
    }
    assert.deepEqual(patched('{spec: {ports: [{port: 53, nodePort: 30053}]}}', service)['spec'], {
      ports: [{ name: 'dns', port: 53, nodePort: 30053 }],
    })
  })

  it('refuses items without their key, and kinds that it knows no lists of', () => {
    assert.throws(
      () => podOf(pod('[{image: x}]')),
      refusal('spec.template.spec.containers[0] needs name, by which items are matched'),
    )
    assert.throws(
      () => patched('{}', { apiVersion: 'apiregistration.k8s.io/v1', kind: 'APIService' }),
      refusal('apiregistration.k8s.io/v1 APIService has no strategic merge; use MergePatch or JSON'),
    )
  })
})

describe('content of a patch', () => {
  for (const [spec, message] of [
    [{ type: 'JSON', content: 'a: 1' }, 'a JSON patch is a list of operations'],
    [{ type: 'JSON', content: '[1]' }, 'operation 1: must be a mapping with op and path'],
    [{ type: 'MergePatch', content: '' }, 'a MergePatch is a mapping, a part of the object'],
    [{ type: 'StrategicMergePatch', content: '[]' }, 'a StrategicMergePatch is a mapping, a part of the object'],
    [
      { type: 'StrategicMergePatch', content: '{a: [{$patch: remove}]}' },
      'a[0].$patch must be one of replace, delete, merge',
    ],
    [{ type: 'StrategicMergePatch', content: '{$setElementOrder/x: []}' }, '$setElementOrder/x is not supported'],
  ] as readonly (readonly [PatchSpec, string])[]) {
    it(`${spec.type} ${JSON.stringify(spec.content)} is refused`, () => {
      assert.throws(() => parsePatch(spec), refusal(message))
    })
  }

  it('that is no YAML is refused on one line', () => {
    assert.throws(
      () => parsePatch({ type: 'MergePatch', content: 'a: [1\nb: 2' }),
      (err: unknown) =>
        err instanceof PatchError && /^the content is not valid YAML or JSON: [^\n]+$/.test(err.message),
    )
  })
})
