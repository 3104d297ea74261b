import assert from 'node:assert/strict'
import { describe, it } from 'mocha'
import { checksum, identity, labelled, ManifestError, parseManifest } from '#pkg/applier/manifest.ts'

describe('parseManifest', () => {
  it('reads YAML as Kubernetes does', () => {
    const [object] = parseManifest(
      `apiVersion: v1
kind: Secret
metadata: {name: a}
defaultMode: 0644
on: yes
date: 2026-01-01
port: "22:22"
ports: 22:22
base: &b {x: 1}
merged: {<<: *b, z: 2}
`,
      'f.yaml',
    )
    assert.deepEqual(
      { ...object, metadata: undefined },
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: undefined,
        defaultMode: 420,
        true: true,
        date: '2026-01-01',
        port: '22:22',
        ports: '22:22',
        base: { x: 1 },
        merged: { x: 1, z: 2 },
      },
    )
  })

  it('splits documents, flattens lists, passes over comments, reads JSON', () => {
    const text = `# only a comment
---
{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"json"}}
--- # with a comment
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: one}}
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: two}}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: text
data:
  script: |
    ---
    not a document
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: flow}}
`
    assert.deepEqual(
      parseManifest(text, 'f.yaml').map(({ metadata }) => metadata.name),
      ['json', 'one', 'two', 'text', 'flow'],
    )
  })

  const wrong: readonly [string, string, RegExp][] = [
    ['a tab', 'a:\n\t- b', /f\.yaml, document 1: not valid YAML: .*correct the file/],
    ['no kind', 'apiVersion: v1\nmetadata: {name: a}', /apiVersion and kind are missing/],
    [
      'no name',
      '---\napiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}',
      /document 2: Pod without metadata\.name/,
    ],
    ['a bare word', 'hello', /no Kubernetes object/],
    [
      'a list entry without a name',
      'apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod}]',
      /item 1: Pod without/,
    ],
  ]
  for (const [name, text, message] of wrong) {
    it(`refuses ${name} and says where`, () => {
      assert.throws(
        () => parseManifest(text, 'f.yaml'),
        (thrown: unknown) =>
          thrown instanceof ManifestError && message.test(thrown.message) && !thrown.message.includes('\n'),
      )
    })
  }
})

describe('labelled', () => {
  const object = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'a', labels: { x: 'y' } } }
  it('marks an object with its stack and content', () => {
    const { metadata } = labelled(object, 'web', 'node-0')
    assert.deepEqual(metadata.labels, { x: 'y', 'k0s.k0sproject.io/stack': 'web' })
    assert.deepEqual(metadata.annotations, {
      'k0s.k0sproject.io/stack-checksum': checksum(object),
      'k0s.k0sproject.io/stack-applied-by': 'node-0',
    })
    assert.notEqual(checksum({ ...object, spec: {} }), checksum(object))
  })

  it('names it whatever the version and the default namespace', () => {
    assert.equal(
      identity(object),
      identity({ ...object, apiVersion: 'apps/v2', metadata: { name: 'a', namespace: 'default' } }),
    )
    assert.notEqual(identity(object), identity({ ...object, metadata: { name: 'a', namespace: 'other' } }))
  })
})
