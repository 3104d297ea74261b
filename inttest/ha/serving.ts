import assert from 'node:assert/strict'
import type { Host } from '#inttest/common/host.ts'

/** Fails unless the API server of a controller says that it is ready. */
export async function apiServerServes(host: Host): Promise<void> {
  const { code, stderr } = await host.k0s(['kubectl', 'get', '--raw', '/readyz', '--request-timeout=5s'])
  assert.equal(code, 0, `${host.name}: ${stderr}`)
}

/** Fails unless every component of a host is ready. */
export async function everythingServes(host: Host): Promise<void> {
  const { code, stderr } = await host.k0s(['status', '--wait-ready', '--timeout', '1s'])
  assert.equal(code, 0, `${host.name}: ${stderr}`)
}

/** Names of the members of etcd in the eyes of a controller, sorted. */
export async function memberNames(host: Host): Promise<readonly string[]> {
  const { code, stdout, stderr } = await host.k0s(['etcd', 'member-list'])
  assert.equal(code, 0, `${host.name}: ${stderr}`)
  return Object.keys((JSON.parse(stdout) as { members: object }).members).sort()
}
