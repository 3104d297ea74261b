import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { freePort, serverAt } from '#pkg/kine/testing/servers.ts'
import type { TestServer } from '#pkg/kine/testing/servers.ts'

/** The real etcd of this product, built by `make bins`. */
export const ETCD: string = resolve('embedded-bins/staging/bin/etcd')

/** Tries until an etcd that has just been started must answer. */
const START_TRIES = 200
const START_INTERVAL_MS = 50

/** A cluster of one etcd on the data in `dir`; killed at the end, which loses nothing here. */
export async function startEtcd(dir: string): Promise<TestServer> {
  const [client, peer] = [await freePort(), await freePort()]
  const urls = [`http://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`] as const
  const args = ['--data-dir', dir, '--listen-client-urls', urls[0], '--advertise-client-urls', urls[0]]
  args.push('--listen-peer-urls', urls[1], '--initial-advertise-peer-urls', urls[1])
  args.push('--initial-cluster', `default=${urls[1]}`, '--log-level', 'error', '--unsafe-no-fsync')
  args.push('--watch-progress-notify-interval', '200ms')
  const child = spawn(ETCD, args, { stdio: 'ignore' })
  const exited = once(child, 'exit')
  const server = serverAt(`127.0.0.1:${client}`, async () => {
    child.kill('SIGKILL')
    await exited
  })
  for (let tries = 0; ; tries += 1) {
    const probe = server.connect()
    try {
      await probe.range('ready')
      return server
    } catch (error) {
      if (tries > START_TRIES) throw error
      await sleep(START_INTERVAL_MS)
    } finally {
      probe.close()
    }
  }
}
