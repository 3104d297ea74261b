import assert from 'node:assert/strict'
import type { Backend } from '#konnectivity/server/backend.ts'
import { BackendManager } from '#konnectivity/server/backend-manager.ts'
import { parseIdentifiers } from '#konnectivity/server/identity.ts'

/** A backend as far as choosing one goes. */
function agent(nodeName: string, identifiers = '', remoteAddress = '192.0.2.1'): Backend {
  const identity = { agentId: nodeName, nodeName, ...parseIdentifiers(identifiers, nodeName) }
  return { identity, remoteAddress, draining: false, closed: false } as unknown as Backend
}

describe('BackendManager', () => {
  const create = (...backends: Backend[]): BackendManager => {
    const manager = new BackendManager({ strategies: ['destHost', 'defaultRoute', 'default'] })
    for (const backend of backends) manager.add(backend)
    return manager
  }

  it('sends a node to its own agent, by name and address', () => {
    const a = agent('a', 'ipv4=10.0.0.1&ipv6=fd00::1')
    const b = agent('b', 'ipv4=10.0.0.2&ipv6=fd00::2')
    const manager = create(a, b)
    for (const address of ['b:10250', 'B:10250', '10.0.0.2:10250', '[fd00::2]:10250', '[fd00:0:0::2]:10250']) {
      assert.equal(manager.pick(address), b, address)
    }
  })

  it('does not believe a node that claims the name of another', () => {
    const manager = create(agent('a', 'host=b'), agent('b'))
    assert.equal(manager.pick('b:10250')?.identity.nodeName, 'b')
  })

  it('believes the agent that comes from an address before one that claims it', () => {
    const own = agent('b', 'ipv4=10.0.0.2', '::ffff:10.0.0.2')
    const manager = create(own, agent('a', 'ipv4=10.0.0.1&ipv4=10.0.0.2', '10.0.0.1'))
    assert.equal(manager.pick('10.0.0.2:10250')?.identity.nodeName, 'b')
    manager.remove(own)
    assert.equal(manager.pick('10.0.0.2:10250')?.identity.nodeName, 'a')
  })

  it('leaves an address that nobody connects from to the node that named it first', () => {
    const [own, liar] = [agent('b', 'ipv4=10.0.0.2'), agent('a', 'ipv4=10.0.0.2')]
    const manager = create(own, liar)
    assert.equal(manager.pick('10.0.0.2:10250'), own)
    const again = agent('b', 'ipv4=10.0.0.2')
    manager.add(again)
    assert.equal(manager.pick('10.0.0.2:10250'), again, 'its newest session')
  })

  it('does not count addresses beyond those that a node may have', () => {
    const many = Array.from({ length: 200 }, (_, i) => `ipv4=10.0.1.${i}`).join('&')
    assert.equal(parseIdentifiers(many, 'a').hosts.length, 64)
  })

  it('takes the newest session of a node, one with default route for the rest, any as a last resort', () => {
    const [old, fresh, route] = [agent('a'), agent('a'), agent('r', 'default-route=true')]
    const manager = create(old, fresh, route)
    assert.equal(manager.pick('a:1'), fresh)
    for (let i = 0; i < 20; i += 1) assert.equal(manager.pick('10.96.0.1:443'), route)
    manager.remove(route)
    assert.notEqual(manager.pick('10.96.0.1:443'), undefined)
    manager.remove(fresh)
    assert.equal(manager.pick('a:1'), old)
    manager.remove(old)
    assert.equal(manager.pick('a:1'), undefined)
  })

  it('prefers any agent to one that drains, and that to none', () => {
    const [own, other] = [agent('a'), agent('b')]
    const manager = create(own, other)
    own.draining = true
    assert.equal(manager.pick('a:1'), other)
    assert.equal(manager.pick('a:1', new Set([other])), own)
    assert.equal(manager.pick('a:1', new Set([other, own])), undefined)
  })
})

describe('parseIdentifiers', () => {
  it('ignores what it does not know and survives nonsense', () => {
    assert.deepEqual(parseIdentifiers('cidr=10.0.0.0/8&uid=x&ipv6=not-an-address&%zz=&&=', 'n'), {
      hosts: ['n', 'not-an-address'],
      defaultRoute: false,
    })
    assert.deepEqual(parseIdentifiers('host=a&host=b&default-route=true', undefined), {
      hosts: ['a', 'b'],
      defaultRoute: true,
    })
  })
})
