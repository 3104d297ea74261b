import assert from 'node:assert/strict'
import { describe, it } from 'mocha'
import { patchObjects, type ObjectPatch } from '#pkg/component/cluster/patch-objects.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'
import { PatchError } from '#pkg/patch/error.ts'

const map = (name: string, namespace = 'kube-system'): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace },
  data: { a: '1' },
})
const merge = (target: ObjectPatch['target'], content: string): ObjectPatch => ({
  target,
  patch: { type: 'MergePatch', content },
})
const patched = (...patches: ObjectPatch[]) =>
  patchObjects([map('one'), map('two')], { path: 'spec.x.patches', patches })

describe('patches of rendered objects', () => {
  it('change their target only, one after the other', () => {
    const target = { kind: 'ConfigMap', name: 'two', namespace: 'kube-system' }
    const { objects, unmatched } = patched(merge(target, 'data: {a: "2"}'), {
      target,
      patch: { type: 'JSON', content: '[{op: test, path: /data/a, value: "2"}, {op: remove, path: /data/a}]' },
    })
    assert.deepEqual(objects, [map('one'), { ...map('two'), data: {} }])
    assert.deepEqual(unmatched, [])
  })

  it('name those that are for nothing that is there', () => {
    const { objects, unmatched } = patched(
      merge({ kind: 'Deployment', name: 'one' }, 'data: {}'),
      merge({ kind: 'ConfigMap', name: 'three' }, 'data: {}'),
      merge({ kind: 'ConfigMap', name: 'one', namespace: 'default' }, 'data: {}'),
    )
    assert.deepEqual(objects, [map('one'), map('two')])
    assert.deepEqual(unmatched, ['spec.x.patches[0]', 'spec.x.patches[1]', 'spec.x.patches[2]'])
  })

  it('that do not fit are refused with their path and what they are for', () => {
    const target = { kind: 'ConfigMap', name: 'one' }
    const message = (patch: ObjectPatch): string => {
      try {
        patched(merge(target, 'data: {}'), patch)
        return 'applied'
      } catch (err) {
        assert.ok(err instanceof PatchError, String(err))
        return err.message
      }
    }
    assert.equal(
      message({ target, patch: { type: 'JSON', content: '[{op: remove, path: /spec}]' } }),
      'spec.x.patches[1] cannot be applied to ConfigMap one: operation 1: there is no /spec',
    )
    assert.equal(
      message(merge(target, 'metadata: {name: other}')),
      'spec.x.patches[1] cannot be applied to ConfigMap one: it changes metadata.name, by which the object is known; leave that as it is',
    )
    assert.match(message(merge(target, 'metadata: null')), /it changes metadata\.name/)
  })
})
