import assert from 'node:assert/strict'
import { HandOver, nextLeader } from '#pkg/component/controller/etcd-hand-over.ts'
import type { EtcdMember } from '#pkg/etcd/member.ts'
import { silentLogger } from '#pkg/log/logger.ts'

const member = (name: string, isLearner = false): EtcdMember => ({ id: `1${name}`, name, peerUrls: [], isLearner })
const others = [member('c2'), member('c1'), member('c3', true)]

describe('a leader of etcd with a slow disk', () => {
  it('lets another voting member lead, once for a while', async () => {
    const moved: string[] = []
    const handOver = new HandOver({ moveLeader: (id) => Promise.resolve(void moved.push(id)) })
    await handOver.to([], silentLogger)
    await handOver.to(others, silentLogger)
    await handOver.to(others, silentLogger)
    assert.deepEqual(moved, ['1c1'])
  })

  it('asks the next one when one does not take over', async () => {
    const asked: string[] = []
    const handOver = new HandOver({
      moveLeader: (id) => {
        asked.push(id)
        return asked.length === 1 ? Promise.reject(new Error('timed out')) : Promise.resolve()
      },
    })
    await handOver.to(others, silentLogger)
    await handOver.to(others, silentLogger)
    assert.deepEqual(asked, ['1c1', '1c2'])
  })

  it('asks one after the other, but no learner', () => {
    assert.deepEqual(
      [0, 1, 2].map((attempt) => nextLeader(others, attempt)?.name),
      ['c1', 'c2', 'c1'],
    )
    assert.equal(nextLeader([member('c3', true)], 0), undefined)
  })
})
