import assert from 'node:assert/strict'
import { describe, it } from 'mocha'
import { etcdMemberSteps, type EtcdMemberObject, type SeenMember } from '#pkg/component/cluster/etcd-member-object.ts'

const now = new Date('2030-01-02T03:04:05.678Z')
const member = (name: string, id = '255', changes: Partial<SeenMember> = {}): SeenMember => ({
  id,
  name,
  peerUrls: [`https://10.0.0.${id.length}:2380`],
  isLearner: false,
  answers: true,
  ...changes,
})

/** The object as it is once the steps of `member` were taken. */
function objectOf(of: SeenMember, leave = false): EtcdMemberObject {
  const [step] = etcdMemberSteps([of], [], now)
  assert.equal(step?.action, 'create')
  return { ...step.object, spec: { leave }, status: step.status }
}

describe('EtcdMember objects', () => {
  it('come with the members that have started, with their address and id', () => {
    const [step, ...rest] = etcdMemberSteps([member('c0'), member('')], [], now)
    assert.deepEqual(rest, [])
    assert.equal(step?.action, 'create')
    assert.deepEqual(step.status, {
      peerAddress: '10.0.0.3',
      memberID: 'ff',
      conditions: [
        { type: 'Joined', status: 'True', lastTransitionTime: '2030-01-02T03:04:05Z', message: '' },
        { type: 'Answering', status: 'True', lastTransitionTime: '2030-01-02T03:04:05Z', message: '' },
      ],
    })
  })

  it('stay as they are while nothing changes, and follow a promotion', () => {
    const learner = member('c1', '255', { isLearner: true })
    const object = objectOf(learner)
    assert.equal(object.status?.conditions?.[0]?.status, 'False')
    assert.deepEqual(etcdMemberSteps([learner], [object], new Date()), [])
    const [step] = etcdMemberSteps([member('c1')], [object], now)
    assert.equal(step?.action, 'update')
    assert.equal(step.status.conditions?.[0]?.status, 'True')
  })

  it('say since when a member does not answer', () => {
    const silent = member('c0', '255', { answers: false })
    const later = new Date('2030-01-02T04:00:00Z')
    const [step] = etcdMemberSteps([silent], [objectOf(member('c0'))], later)
    assert.equal(step?.action, 'update')
    const [joined, answering] = step.status.conditions ?? []
    assert.equal(joined?.lastTransitionTime, '2030-01-02T03:04:05Z')
    assert.deepEqual(answering, {
      type: 'Answering',
      status: 'False',
      lastTransitionTime: '2030-01-02T04:00:00Z',
      message: 'it does not answer at its peer port',
    })
    const object = { ...objectOf(member('c0')), status: step.status }
    assert.deepEqual(etcdMemberSteps([silent], [object], new Date()), [])
  })

  it('have their member removed when they ask for it', () => {
    const object = objectOf(member('c0'), true)
    assert.deepEqual(etcdMemberSteps([member('c0')], [object], now), [
      { action: 'remove-member', name: 'c0', peerUrl: 'https://10.0.0.3:2380' },
    ])
    const [left] = etcdMemberSteps([], [object], now)
    assert.equal(left?.action, 'update')
    assert.equal(left.status.reconcileStatus, 'Success')
    assert.equal(left.status.conditions?.[0]?.status, 'False')
    assert.deepEqual(etcdMemberSteps([], [{ ...object, status: left.status }], now), [])
  })

  it('do not remove the same host when it has joined anew', () => {
    const object = objectOf(member('c0'), true)
    const [step] = etcdMemberSteps([member('c0', '4096')], [object], now)
    assert.equal(step?.action, 'update')
    assert.equal(step.leave, false)
    assert.equal(step.status.memberID, '1000')
  })

  it('go with members that left in another way', () => {
    assert.deepEqual(etcdMemberSteps([], [objectOf(member('c0'))], now), [{ action: 'delete', name: 'c0' }])
  })
})
