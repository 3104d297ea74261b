import { text } from 'node:stream/consumers'
import { defineCommand } from '#cmd/define.ts'
import { logLevelOf, outputFlags } from '#cmd/flags/shared.ts'
import { untilSignal } from '#cmd/until-signal.ts'
import type { ApiChildConfig } from '#pkg/api/child-config.ts'

/** The join API, as a child of `k0s controller`. */
export const api = defineCommand({
  id: 'api',
  summary: 'Serve the join API for controllers',
  description: 'Run by k0s controller, which writes what it needs to its standard input.',
  examples: [{ description: 'As the controller does', command: 'api' }],
  flags: outputFlags({ verbose: true }),
  withoutOclif: true,
  hidden: true,
  run: async ({ flags }) => {
    const [{ startJoinApi }, { etcdJoin }, { checkToken }, { KubeClient }, { aborted }, { createLogger }] =
      await Promise.all([
        import('#pkg/api/server.ts'),
        import('#pkg/api/etcd-join.ts'),
        import('#pkg/token/check-token.ts'),
        import('#pkg/kubernetes/client.ts'),
        import('#pkg/lifecycle/aborted.ts'),
        import('#pkg/log/winston.ts'),
      ])
    const { listen, serving, kube, authority, etcd } = JSON.parse(await text(process.stdin)) as ApiChildConfig
    const log = createLogger({ level: logLevelOf(flags) })
    const client = new KubeClient({ ...kube, userAgent: 'k0s-api' })
    await untilSignal(async ({ signal }) => {
      await using server = await startJoinApi(
        { ...listen, ...serving },
        {
          authority,
          checkToken: (token, gone) => checkToken(client, token, { role: 'controller', signal: gone }),
          joinEtcd: etcd && etcdJoin(etcd, { log }),
          log,
        },
      )
      log.info('join API ready', { port: server.port, etcd: etcd !== undefined })
      await aborted(signal)
    })
    client.close()
  },
})
