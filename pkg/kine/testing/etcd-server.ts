import { resolve } from 'node:path'
import { startProgramServer } from '#pkg/kine/testing/program-server.ts'
import { freePort } from '#pkg/kine/testing/servers.ts'
import type { TestServer } from '#pkg/kine/testing/servers.ts'

/** The real etcd of this product, built by `make bins`. */
export const ETCD: string = resolve('embedded-bins/staging/bin/etcd')

/** A cluster of one etcd on the data in `dir`; killed at the end, which loses nothing here. */
export async function startEtcd(dir: string): Promise<TestServer> {
  const [client, peer] = [await freePort(), await freePort()]
  const urls = [`http://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`] as const
  const args = ['--data-dir', dir, '--listen-client-urls', urls[0], '--advertise-client-urls', urls[0]]
  args.push('--listen-peer-urls', urls[1], '--initial-advertise-peer-urls', urls[1])
  args.push('--initial-cluster', `default=${urls[1]}`, '--log-level', 'error', '--unsafe-no-fsync')
  args.push('--watch-progress-notify-interval', '200ms')
  return startProgramServer({ argv: [ETCD, ...args], address: `127.0.0.1:${client}`, stopSignal: 'SIGKILL' })
}
