import assert from 'node:assert/strict'
import { describe, it } from 'mocha'
import { leaveCluster } from '#pkg/etcd/leave.ts'
import { initialCluster, type EtcdMember } from '#pkg/etcd/member.ts'
import { renderMembers } from '#pkg/etcd/render.ts'

const member = (id: string, name: string, changes: Partial<EtcdMember> = {}): EtcdMember => ({
  id,
  name,
  peerUrls: [`https://${id}:2380`],
  isLearner: false,
  ...changes,
})

describe('leaving etcd', () => {
  const clusterOf = (...members: readonly EtcdMember[]) => {
    const removed: string[] = []
    const client = {
      members: () => Promise.resolve(members),
      remove: (id: string) => Promise.resolve(void removed.push(id)),
    }
    return { removed, client, askOthers: () => Promise.reject(new Error('nobody needs to be asked')) }
  }

  it('removes the member at that address', async () => {
    const cluster = clusterOf(member('1', 'c0'), member('2', 'c1'))
    assert.equal((await leaveCluster('https://2:2380', cluster)).name, 'c1')
    assert.deepEqual(cluster.removed, ['2'])
  })

  it('is refused for the last member that votes, and where there is none', async () => {
    const cluster = clusterOf(member('1', 'c0'), member('2', 'c1', { isLearner: true }))
    await assert.rejects(leaveCluster('https://1:2380', cluster), /c0 is the last member/)
    await assert.rejects(leaveCluster('https://9:2380', cluster), /no member at https:\/\/9:2380; .*https:\/\/1:2380/)
    assert.deepEqual(cluster.removed, [])
    await leaveCluster('https://2:2380', cluster)
    assert.deepEqual(cluster.removed, ['2'])
  })

  it('has happened when the answer is lost and the others say so; they may know late', async () => {
    const [c0, c1, c2] = [member('1', 'c0'), member('2', 'c1'), member('3', 'c2', { isLearner: true })]
    const lost = new Error('14 UNAVAILABLE: etcdserver: server stopped')
    const leave = (...told: readonly (readonly EtcdMember[])[]) => {
      const asked: (readonly string[])[] = []
      const client = { members: () => Promise.resolve([c0, c1, c2]), remove: () => Promise.reject(lost) }
      const askOthers = (urls: readonly string[]): Promise<readonly EtcdMember[]> => {
        asked.push(urls)
        const answer = told[Math.min(asked.length, told.length) - 1]
        return answer === undefined ? Promise.reject(new Error('no answer')) : Promise.resolve(answer)
      }
      return { asked, left: leaveCluster('https://1:2380', { client, askOthers }) }
    }
    const late = leave([c0, c1, c2], [c1, c2])
    assert.equal((await late.left).name, 'c0')
    assert.deepEqual(late.asked, [['https://2:2380'], ['https://2:2380']])
    await assert.rejects(leave([c0, c1, c2]).left, lost)
    await assert.rejects(leave().left, lost)
  })
})

describe('members of etcd', () => {
  const members = [member('17', 'c1'), member('18446744073709551615', 'c0', { isLearner: true })]

  it('are printed as k0s does, and for people', () => {
    assert.equal(
      renderMembers(members, 'json'),
      '{"members":{"c0":"https://18446744073709551615:2380","c1":"https://17:2380"}}\n',
    )
    const [head, first, second] = renderMembers(members, 'table').split('\n')
    assert.match(head ?? '', /^NAME +ROLE +PEER ADDRESS +ID$/)
    assert.match(first ?? '', /^c0 +learner +https\S+ +ffffffffffffffff$/)
    assert.match(second ?? '', /^c1 +voter +https:\/\/17:2380 +11$/)
  })

  it('are told to one that joins, itself by the name that etcd does not know yet', () => {
    const joining = member('3', '')
    assert.deepEqual(initialCluster([member('1', 'c0'), joining], { peerUrl: 'https://3:2380', name: 'c1' }), [
      'c0=https://1:2380',
      'c1=https://3:2380',
    ])
  })
})
